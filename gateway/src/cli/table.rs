//! JSON as tables.

use serde_json::Value;

/// Title and path (`position.lat`) of a column.
pub(super) type Column = (&'static str, &'static str);

/// One line an item under a line of titles.
pub(super) fn table(columns: &[Column], items: &[Value]) -> String {
    if items.is_empty() {
        return "nothing\n".to_owned();
    }
    let mut rows = vec![
        columns
            .iter()
            .map(|(title, _)| (*title).to_owned())
            .collect(),
    ];
    for item in items {
        let cells = columns
            .iter()
            .map(|(_, path)| cell(at(item, path)))
            .collect();
        rows.push(cells);
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            rows.iter()
                .map(|row: &Vec<String>| width(&row[column]))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (text, width_of) in row.iter().zip(&widths) {
            line.push_str(text);
            line.push_str(&" ".repeat(width_of - width(text) + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// One line a field; fields of fields are written with dots.
pub(super) fn record(value: &Value) -> String {
    let mut fields = Vec::new();
    flatten(value, String::new(), &mut fields);
    let widest = fields
        .iter()
        .map(|(name, _)| width(name))
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for (name, text) in fields {
        out.push_str(&name);
        out.push_str(&" ".repeat(widest - width(&name) + 2));
        out.push_str(&text);
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

fn flatten(value: &Value, path: String, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (key, value) in object {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                flatten(value, path, fields);
            }
        }
        other => fields.push((path, cell(Some(other)))),
    }
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => plain(text),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::Array(items))
            if items
                .iter()
                .all(|item| !item.is_object() && !item.is_array()) =>
        {
            let cells: Vec<String> = items.iter().map(|item| cell(Some(item))).collect();
            cells.join(" ")
        }
        Some(other) => plain(&other.to_string()),
    }
}

/// Text others wrote must not move the cursor or recolour the terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Columns on a terminal: ideographs take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

const fn is_wide(c: char) -> bool {
    matches!(c as u32, 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1f64f | 0x20000..=0x3fffd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_is_aligned_also_with_chinese_names() {
        let items = [
            json!({"id": "a", "name": "合同章", "connected": true, "p": {"x": 1}}),
            json!({"id": "bcd", "name": "Seal", "connected": false, "scopes": ["a", "b"]}),
        ];
        let columns = [
            ("ID", "id"),
            ("NAME", "name"),
            ("CONNECTED", "connected"),
            ("X", "p.x"),
            ("SCOPES", "scopes"),
        ];
        assert_eq!(
            table(&columns, &items),
            "ID   NAME    CONNECTED  X  SCOPES\n\
             a    合同章  yes        1  -\n\
             bcd  Seal    no         -  a b\n"
        );
        assert_eq!(table(&columns, &[]), "nothing\n");
    }

    #[test]
    fn a_record_is_one_line_a_field() {
        let value = json!({"id": "a", "settings": {"backlight": 30, "empty": {}}, "note": null});
        assert_eq!(
            record(&value),
            "id                  a\nnote                -\nsettings.backlight  30\nsettings.empty      {}\n"
        );
    }

    #[test]
    fn text_of_others_can_not_steer_the_terminal() {
        assert_eq!(
            cell(Some(&json!("a\u{1b}[31m\nb"))),
            "a\u{fffd}[31m\u{fffd}b"
        );
    }
}
