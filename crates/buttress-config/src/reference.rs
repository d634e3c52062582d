//! The reference of all fields, made of the table that the tests hold against the types.

use std::fmt::Write as _;

use crate::fields::{Field, Kind, TABLES};

/// The tables of the page `docs/configuration.md`, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::new();
    for table in TABLES {
        let title = match table.name {
            "" => String::from("Top level"),
            name => format!("`[{name}]`"),
        };
        line(&mut page, &format!("### {title}"));
        line(&mut page, table.about);
        rows(&mut page, table.name, table.fields);
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn rows(page: &mut String, table: &str, fields: &[Field]) {
    let head = "| field | takes | default | live | |\n|---|---|---|---|---|";
    // Writing to a string cannot fail.
    let _ = writeln!(page, "{head}");
    let mut inner = Vec::new();
    for field in fields {
        let default = field.default.map(|default| format!("`{default}`"));
        let live = match field.live {
            true => "yes",
            false => "restart",
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {live} | {} |",
            field.name,
            takes(&field.kind),
            default.unwrap_or_default(),
            field.about,
        );
        if let Kind::TableOrNone(fields) = field.kind {
            inner.push((field.name, fields));
        }
    }
    page.push('\n');
    for (name, fields) in inner {
        line(page, &format!("The fields of `{table}.{name}`:"));
        rows(page, name, fields);
    }
}

fn takes(kind: &Kind) -> String {
    match kind {
        Kind::Flag => "`true` or `false`".into(),
        Kind::Whole {
            least,
            most: u64::MAX,
        } => format!("a whole number from {least}"),
        Kind::Whole { least, most } => format!("a whole number from {least} to {most}"),
        Kind::Number {
            least,
            most,
            above: true,
        } => {
            format!("a number above {least} and at most {most}")
        }
        Kind::Number { least, most, .. } if *most == f64::MAX => format!("a number from {least}"),
        Kind::Number { least, most, .. } => format!("a number from {least} to {most}"),
        Kind::Duration => "a duration".into(),
        Kind::Quotas => "a list of quotas".into(),
        Kind::QuotasByKey => "lists of quotas by key".into(),
        Kind::Methods => "a list of methods".into(),
        Kind::Stack => "a list of tables' names".into(),
        Kind::Time => "a time (RFC 3339)".into(),
        Kind::Choice(names) => {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            names.join(", ")
        }
        Kind::CallsOrDuration { most } => {
            format!("a number of calls from 1 to {most}, or a duration")
        }
        Kind::TableOrNone(_) => "a table, or `\"none\"`".into(),
    }
}

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push_str("\n\n");
}
