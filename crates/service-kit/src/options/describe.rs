//! The options as a table of documentation.
//! Invariant: the default of a secret is not shown, only that there is one.

use std::fmt::Write as _;

use super::Variable;

/// A table of the variables, in their order.
pub fn markdown(variables: &[Variable]) -> String {
    let mut page = String::from("| Variable | Default | Expected | Meaning |\n|---|---|---|---|\n");
    for variable in variables {
        let names = std::iter::once(&variable.name).chain(&variable.aliases);
        let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        let default = match &variable.default {
            Some(default) if default.is_empty() => "empty".to_owned(),
            Some(_) if variable.secret => "***".to_owned(),
            Some(default) => format!("`{default}`"),
            None if variable.required => "**required**".to_owned(),
            None => "absent".to_owned(),
        };
        let about = variable
            .about
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "| {} | {default} | {} | {} |",
            names.join(", "),
            variable.expected.replace('|', "\\|"),
            about.replace('|', "\\|"),
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_absence_means_and_shows_no_secret() {
        let variable = Variable {
            name: "KEY".to_owned(),
            aliases: vec!["OLD_KEY".to_owned()],
            default: None,
            expected: "a secret text".to_owned(),
            about: "Signs cursors,\n old | new.",
            secret: true,
            required: true,
        };
        let cases = [
            (None, true, "**required**"),
            (None, false, "absent"),
            (Some(""), false, "empty"),
            (Some("hunter2"), false, "***"),
        ];
        for (default, required, shown) in cases {
            let default = default.map(str::to_owned);
            let page = markdown(&[Variable {
                default,
                required,
                ..variable.clone()
            }]);
            let row = format!(
                "| `KEY`, `OLD_KEY` | {shown} | a secret text | Signs cursors, old \\| new. |"
            );
            assert_eq!(page.lines().last(), Some(row.as_str()));
        }
    }
}
