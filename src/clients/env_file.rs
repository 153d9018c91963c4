//! Files with variables, one a line: `NAME=value`, as `envFile` of an entry names them.

/// The variables of a file, in its order. Lines that are none are left out, as those that read such files do.
pub(super) fn parse(text: &str) -> Vec<(String, String)> {
    text.trim_start_matches('\u{feff}').lines().filter_map(variable).collect()
}

fn variable(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
    let (name, value) = (name.trim(), value.trim());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    let quoted = |quote: char| value.strip_prefix(quote)?.split_once(quote).map(|(inside, _)| inside);
    let value = match (quoted('"'), quoted('\'')) {
        (Some(inside), _) => inside.replace("\\n", "\n"),
        (None, Some(inside)) => inside.to_owned(),
        // What follows a `#` after a blank is a comment.
        (None, None) => value.split(" #").next().unwrap_or_default().trim_end().to_owned(),
    };
    Some((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_variable_a_comment_or_nothing() {
        let text =
            "# of the project\nA=1\n export B = two words # said\nC=\"x # y\"\nD='a\"b' \n=no\nalso no\nE=\nF=a=b#c\n";
        let got: Vec<String> = parse(text).into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
        assert_eq!(got, ["A:1", "B:two words", "C:x # y", "D:a\"b", "E:", "F:a=b#c"]);
    }
}
