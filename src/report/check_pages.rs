//! The page of each code, as it stands in `docs/checks/`: part of the binary, so that SARIF can carry it.

use crate::code::Code;

/// Where the page about a code is published: with the source of this very version.
pub fn page_address(code: Code) -> String {
    address(&format!("docs/checks/{code}.md"))
}

/// Where a file of this version is published.
pub(super) fn address(file: &str) -> String {
    format!("https://docs.rs/crate/mcpol/{}/source/{file}", env!("CARGO_PKG_VERSION"))
}

/// The page about a code, as Markdown.
pub fn check_page(code: Code) -> &'static str {
    match code {
        Code::D001 => include_str!("../../docs/checks/D001.md"),
        Code::D002 => include_str!("../../docs/checks/D002.md"),
        Code::D003 => include_str!("../../docs/checks/D003.md"),
        Code::D004 => include_str!("../../docs/checks/D004.md"),
        Code::D010 => include_str!("../../docs/checks/D010.md"),
        Code::D011 => include_str!("../../docs/checks/D011.md"),
        Code::D012 => include_str!("../../docs/checks/D012.md"),
        Code::D020 => include_str!("../../docs/checks/D020.md"),
        Code::D021 => include_str!("../../docs/checks/D021.md"),
        Code::D022 => include_str!("../../docs/checks/D022.md"),
        Code::D023 => include_str!("../../docs/checks/D023.md"),
        Code::D030 => include_str!("../../docs/checks/D030.md"),
        Code::D031 => include_str!("../../docs/checks/D031.md"),
        Code::D040 => include_str!("../../docs/checks/D040.md"),
        Code::D041 => include_str!("../../docs/checks/D041.md"),
        Code::D042 => include_str!("../../docs/checks/D042.md"),
        Code::D050 => include_str!("../../docs/checks/D050.md"),
        Code::D051 => include_str!("../../docs/checks/D051.md"),
        Code::D060 => include_str!("../../docs/checks/D060.md"),
        Code::D061 => include_str!("../../docs/checks/D061.md"),
        Code::D062 => include_str!("../../docs/checks/D062.md"),
        Code::D063 => include_str!("../../docs/checks/D063.md"),
        Code::D064 => include_str!("../../docs/checks/D064.md"),
        Code::R001 => include_str!("../../docs/checks/R001.md"),
        Code::P001 => include_str!("../../docs/checks/P001.md"),
        Code::P002 => include_str!("../../docs/checks/P002.md"),
        Code::P003 => include_str!("../../docs/checks/P003.md"),
        Code::P004 => include_str!("../../docs/checks/P004.md"),
        Code::P005 => include_str!("../../docs/checks/P005.md"),
        Code::P010 => include_str!("../../docs/checks/P010.md"),
        Code::P011 => include_str!("../../docs/checks/P011.md"),
        Code::P012 => include_str!("../../docs/checks/P012.md"),
        Code::P013 => include_str!("../../docs/checks/P013.md"),
        Code::P014 => include_str!("../../docs/checks/P014.md"),
        Code::P015 => include_str!("../../docs/checks/P015.md"),
        Code::P016 => include_str!("../../docs/checks/P016.md"),
        Code::P017 => include_str!("../../docs/checks/P017.md"),
        Code::P018 => include_str!("../../docs/checks/P018.md"),
        Code::P019 => include_str!("../../docs/checks/P019.md"),
        Code::P020 => include_str!("../../docs/checks/P020.md"),
        Code::P021 => include_str!("../../docs/checks/P021.md"),
        Code::P022 => include_str!("../../docs/checks/P022.md"),
        Code::P023 => include_str!("../../docs/checks/P023.md"),
        Code::P024 => include_str!("../../docs/checks/P024.md"),
        Code::P025 => include_str!("../../docs/checks/P025.md"),
        Code::P026 => include_str!("../../docs/checks/P026.md"),
        Code::P027 => include_str!("../../docs/checks/P027.md"),
        Code::P028 => include_str!("../../docs/checks/P028.md"),
        Code::P029 => include_str!("../../docs/checks/P029.md"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_page() {
        let index = include_str!("../../docs/checks/README.md");
        for code in Code::ALL {
            let page = check_page(*code);
            let title = format!("# {code}: {}\n", code.title());
            assert!(page.starts_with(&title), "{code}: the page begins with its title");
            for heading in ["## Severity", "## Example", "## What to do"] {
                assert!(page.contains(heading), "{code}: {heading}");
            }
            assert!(page.contains(&format!(" {code}  ")), "{code}: the example shows it");
            assert!(index.contains(&format!("| [{code}]({code}.md) | {} |", code.title())), "{code}: the index");
        }
        assert_eq!(index.matches(".md)").count(), Code::ALL.len(), "the index lists nothing else");
    }
}
