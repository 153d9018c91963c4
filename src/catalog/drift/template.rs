//! Two URI templates (RFC 6570): can the new one lead where the old one could not?

use super::schema::Direction;

/// Most expressions of a template that are looked at.
const EXPRESSIONS_MAX: usize = 64;
/// Largest compiled pattern for one template, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// What is different about where a template leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TemplateStep {
    /// Whether more can be reached.
    pub direction: Direction,
    /// Whether the caller now chooses the scheme or the host.
    pub any_host: bool,
}

/// A template as its fixed beginning and its expressions.
#[derive(Debug, PartialEq, Eq)]
struct Template<'a> {
    /// The text before the first expression.
    prefix: &'a str,
    expressions: Vec<Expression>,
}

/// What one expression takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expression {
    variables: usize,
    /// Slashes and other reserved characters go through: `{+path}`, `{#fragment}`, `{/segments*}`.
    reserved: bool,
    /// The longest value that a variable may have (`{id:3}`), where every one has such a bound.
    longest: Option<usize>,
}

/// How `now` differs from `was`, which is another template.
pub(super) fn compare(was: &str, now: &str) -> TemplateStep {
    let (old, new) = (parse(was), parse(now));
    let any_host = old.fixes_host() && !new.fixes_host();
    let more = any_host || opens(&old, &new);
    let less = (new.fixes_host() && !old.fixes_host()) || opens(&new, &old);
    let direction = match (more, less) {
        (true, _) => Direction::Opened,
        (false, true) => Direction::Narrowed,
        (false, false) => Direction::Same,
    };
    TemplateStep { direction, any_host }
}

/// Whether a URI is one that a template stands for. Values are as RFC 6570 writes them: without slashes and other reserved
/// characters, unless the expression lets them through.
pub(super) fn leads_to(template: &str, uri: &str) -> bool {
    let mut pattern = String::from("^");
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        let Some((inside, after)) = after.split_once('}') else { break };
        pattern.push_str(&regex::escape(literal));
        pattern.push_str(match inside.chars().next() {
            Some('+') => ".*",
            Some('#') => "(#.*)?",
            Some('.') => r"(\.[^/?#]*)?",
            Some('/') if inside.contains('*') => "(/[^?#]*)?",
            Some('/') => "(/[^/?#]*)*",
            Some(';') => "(;[^/?#]*)?",
            Some('?') => r"(\?[^#]*)?",
            Some('&') => "(&[^#]*)?",
            _ => "[^/?#]*",
        });
        rest = after;
    }
    pattern.push_str(&regex::escape(rest));
    pattern.push('$');
    // A template that is longer than any honest one leads nowhere.
    let built = regex::RegexBuilder::new(&pattern).size_limit(PATTERN_BYTES_MAX).build();
    built.is_ok_and(|pattern| pattern.is_match(uri))
}

/// Whether a caller chooses the scheme or the host, or hands over a path with slashes.
pub(super) fn is_wide(template: &str) -> bool {
    let template = parse(template);
    !template.fixes_host() || template.expressions.iter().any(|it| it.reserved)
}

impl Template<'_> {
    /// Whether scheme and host stand before the first expression.
    fn fixes_host(&self) -> bool {
        match self.prefix.split_once(':') {
            None | Some(("", _)) => self.expressions.is_empty(),
            // `note:{id}` has no host; what follows could still bring one along.
            Some((_, "")) => self.expressions.first().is_none_or(|first| !first.reserved),
            Some((_, rest)) => rest.strip_prefix("//").is_none_or(|host| host.contains('/')) && rest != "/",
        }
    }
}

fn opens(was: &Template<'_>, now: &Template<'_>) -> bool {
    let shorter =
        !now.expressions.is_empty() && now.prefix.len() < was.prefix.len() && was.prefix.starts_with(now.prefix);
    let variables = |template: &Template<'_>| template.expressions.iter().map(|it| it.variables).sum::<usize>();
    let reserved = |template: &Template<'_>| template.expressions.iter().filter(|it| it.reserved).count();
    let unbounded = |template: &Template<'_>| template.expressions.iter().filter(|it| it.longest.is_none()).count();
    let longest = |template: &Template<'_>| template.expressions.iter().filter_map(|it| it.longest).max().unwrap_or(0);
    shorter
        || variables(now) > variables(was)
        || reserved(now) > reserved(was)
        || unbounded(now) > unbounded(was)
        || (unbounded(now) == unbounded(was) && longest(now) > longest(was))
}

fn parse(text: &str) -> Template<'_> {
    let mut expressions = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{')
        && let Some((inside, after)) = after.split_once('}')
        && expressions.len() < EXPRESSIONS_MAX
    {
        expressions.push(expression(inside));
        rest = after;
    }
    let prefix = if expressions.is_empty() { text } else { text.split('{').next().unwrap_or_default() };
    Template { prefix, expressions }
}

fn expression(inside: &str) -> Expression {
    let (operator, names) = match inside.chars().next() {
        Some(operator @ ('+' | '#' | '.' | '/' | ';' | '?' | '&')) => (Some(operator), &inside[1..]),
        _ => (None, inside),
    };
    let names: Vec<_> = names.split(',').collect();
    let explodes = names.iter().any(|name| name.ends_with('*'));
    let bounds: Vec<_> = names.iter().map(|name| name.split_once(':').and_then(|(_, n)| n.parse().ok())).collect();
    Expression {
        variables: names.len(),
        reserved: matches!(operator, Some('+' | '#')) || (operator == Some('/') && explodes),
        longest: bounds.into_iter().collect::<Option<Vec<_>>>().and_then(|bounds| bounds.into_iter().max()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(was: &str, now: &str, direction: Direction, any_host: bool) {
        assert_eq!(compare(was, now), TemplateStep { direction, any_host }, "{was} -> {now}");
    }

    #[test]
    fn what_reaches_more_is_opened() {
        check("file:///docs/{name}", "file:///{name}", Direction::Opened, false);
        check("file:///docs/{name}", "file:///docs/{+name}", Direction::Opened, false);
        check("file:///docs/{name}", "file:///docs/{/name*}", Direction::Opened, false);
        check("db://t/{table}", "db://t/{table}{?where}", Direction::Opened, false);
        check("db://t/{id:8}", "db://t/{id}", Direction::Opened, false);
        check("db://t/{id:8}", "db://t/{id:80}", Direction::Opened, false);
        check("https://a.example/{page}", "https://{host}/{page}", Direction::Opened, true);
        check("https://a.example/{page}", "{+url}", Direction::Opened, true);
        check("note:{id}", "note:{+id}", Direction::Opened, true);
    }

    #[test]
    fn what_reaches_less_is_narrowed_and_the_rest_is_neither() {
        check("file:///{name}", "file:///docs/{name}", Direction::Narrowed, false);
        check("{+url}", "file:///docs/{name}", Direction::Narrowed, false);
        check("db://t/{id}", "db://t/{id:8}", Direction::Narrowed, false);
        check("file:///docs/{name}", "file:///notes/{name}", Direction::Same, false);
        check("db://t/{table}", "db://t/{name}", Direction::Same, false);
    }

    #[test]
    fn a_template_leads_to_what_its_expressions_let_through() {
        for (template, uri, leads) in [
            ("file:///docs/{name}", "file:///docs/a.md", true),
            ("file:///docs/{name}", "file:///docs/../etc/passwd", false),
            ("file:///docs/{name}", "file:///docs/a?b", false),
            ("file:///docs/{name}", "xfile:///docs/a", false),
            ("file:///{+path}", "file:///a/b/c", true),
            ("db://t{/id}", "db://t/5", true),
            ("db://t{?where}", "db://t?where=x", true),
            ("db://t{?where}", "db://t", true),
            ("db://t.{id}", "db://tx5", false),
        ] {
            assert_eq!(leads_to(template, uri), leads, "{template} {uri}");
        }
    }

    #[test]
    fn wide_is_what_takes_a_host_or_a_path() {
        for (template, wide) in
            [("file:///{name}", false), ("note:{id}", false), ("file:///{+path}", true), ("https://{host}/x", true)]
        {
            assert_eq!(is_wide(template), wide, "{template}");
        }
    }

    #[test]
    fn what_is_no_template_is_one_without_expressions() {
        check("file:///{", "file:///x", Direction::Same, false);
        check("", "x", Direction::Same, false);
    }
}
