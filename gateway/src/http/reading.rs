//! What is said of a value that can not be read, in both languages.
//!
//! The readers (JSON, queries, paths) speak English only. What they commonly say is known here; anything else is quoted
//! behind a Chinese word that it could not be read, so that no refusal is without one.

use crate::app::Words;

use super::problem::Problem;

/// What readers begin with and nobody needs.
const PREFIXES: [&str; 2] = ["Failed to deserialize query string: ", "Invalid URL: "];

/// Sentences without anything to fill in: as they begin, in Chinese, in better English.
const FIXED: &[(&str, &str, &str)] = &[
    (
        "invalid digit found in string",
        "须为整数",
        "must be a whole number",
    ),
    (
        "cannot parse integer from empty string",
        "须为整数",
        "must be a whole number",
    ),
    (
        "number too large to fit in target type",
        "数字过大",
        "the number is too large",
    ),
    (
        "number too small to fit in target type",
        "数字过小",
        "the number is too small",
    ),
    (
        "provided string was not `true` or `false`",
        "须为 true 或 false",
        "must be true or false",
    ),
    (
        "a time as 2026-01-31T08:00:00Z",
        "须为时间，如 2026-01-31T08:00:00Z",
        "must be a time, as 2026-01-31T08:00:00Z",
    ),
    (
        "EOF while parsing",
        "内容不完整，提前结束",
        "it ends too early",
    ),
    (
        "trailing characters",
        "JSON 之后有多余的内容",
        "there is something behind the JSON",
    ),
    ("trailing comma", "多余的逗号", "there is a comma too many"),
    (
        "recursion limit exceeded",
        "嵌套过深",
        "it is nested too deeply",
    ),
];

/// Things a reader expects or has found, in Chinese and in better English.
const THINGS: &[(&str, &str, &str)] = &[
    ("u8", "0至255的整数", "a whole number, 0 to 255"),
    ("u16", "0至65535的整数", "a whole number, 0 to 65535"),
    (
        "u32",
        "0至4294967295的整数",
        "a whole number, 0 to 4294967295",
    ),
    ("u64", "不小于0的整数", "a whole number, 0 or more"),
    ("usize", "不小于0的整数", "a whole number, 0 or more"),
    ("i32", "整数", "a whole number"),
    ("i64", "整数", "a whole number"),
    ("f64", "数字", "a number"),
    ("a boolean", "true 或 false", "true or false"),
    ("a string", "字符串", "a string"),
    ("a borrowed string", "字符串", "a string"),
    ("a sequence", "数组", "a list"),
    ("sequence", "数组", "a list"),
    ("map", "对象", "an object"),
    ("a map", "对象", "an object"),
    ("null", "null", "null"),
    ("unit value", "null", "null"),
];

/// Both languages of what a reader said.
pub(crate) fn of(said: &str) -> Words {
    let mut said = said;
    for prefix in PREFIXES {
        said = said.strip_prefix(prefix).unwrap_or(said);
    }
    let (said, place) = said.rsplit_once(" at line ").unwrap_or((said, ""));
    let (field, said) = match said.split_once(": ") {
        Some((field, rest)) if is_field(field) => (Some(field), rest),
        _ => (None, said),
    };
    let (mut chinese, mut english) = sentence(said);
    if let Some(field) = field {
        chinese = format!("{field}：{chinese}");
        english = format!("{field}: {english}");
    }
    if let Some((line, column)) = place.split_once(" column ") {
        chinese = format!("{chinese}（第{line}行第{column}列）");
        english = format!("{english} (line {line}, column {column})");
    }
    Words::from((chinese, english))
}

/// A query parameter that names nothing known.
pub(crate) fn unknown(field: &str, known: impl Iterator<Item = &'static str>) -> Problem {
    let known = known.collect::<Vec<_>>().join(", ");
    let words = (
        format!("{field}：可用的有 {known}"),
        format!("{field}: one of {known}"),
    );
    Problem::bad_request("invalid_query", words)
}

fn is_field(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.[]".contains(c);
    !text.is_empty() && text.chars().all(plain)
}

fn sentence(said: &str) -> (String, String) {
    for (begins, chinese, english) in FIXED {
        if said.starts_with(begins) {
            return ((*chinese).to_owned(), (*english).to_owned());
        }
    }
    if let Some(field) = said.strip_prefix("missing field ") {
        return (format!("缺少字段 {field}"), said.to_owned());
    }
    if let Some(field) = said.strip_prefix("duplicate field ") {
        return (format!("字段 {field} 重复"), said.to_owned());
    }
    for (begins, chinese) in [
        ("unknown field ", "没有字段"),
        ("unknown variant ", "没有取值"),
    ] {
        if let Some(rest) = said.strip_prefix(begins) {
            let (name, known) = rest.split_once(", ").unwrap_or((rest, ""));
            let known = known.trim_start_matches("expected ");
            let known = known.trim_start_matches("one of ").replace(" or ", ", ");
            let known = match known.as_str() {
                "" | "there are no fields" | "there are no variants" => String::new(),
                known => format!("；可用的有 {known}"),
            };
            return (format!("{chinese} {name}{known}"), said.to_owned());
        }
    }
    for (begins, chinese) in [
        ("invalid type: ", "类型不符"),
        ("invalid value: ", "取值不符"),
        ("invalid length ", "长度不符"),
    ] {
        let parts = said
            .strip_prefix(begins)
            .and_then(|rest| rest.split_once(", expected "));
        if let Some((found, expected)) = parts {
            let (expected_zh, expected_en) = thing(expected);
            let (found_zh, found_en) = thing(found);
            return (
                format!("{chinese}：须为{expected_zh}，而不是{found_zh}"),
                format!("must be {expected_en}, not {found_en}"),
            );
        }
    }
    (format!("无法识别：{said}"), said.to_owned())
}

/// Something expected or found, in Chinese and in English.
fn thing(said: &str) -> (String, String) {
    if let Some((_, chinese, english)) = THINGS.iter().find(|(name, ..)| *name == said) {
        return ((*chinese).to_owned(), (*english).to_owned());
    }
    for (kind, chinese) in [
        ("integer ", "整数 "),
        ("string ", "字符串 "),
        ("boolean ", ""),
        ("floating point ", "小数 "),
    ] {
        if let Some(value) = said.strip_prefix(kind) {
            return (format!("{chinese}{value}"), said.to_owned());
        }
    }
    (said.to_owned(), said.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_say_is_said_in_both_languages() {
        for (said, chinese, english) in [
            (
                "missing field `name` at line 1 column 2",
                "缺少字段 `name`（第1行第2列）",
                "missing field `name` (line 1, column 2)",
            ),
            (
                "unknown field `x`, expected `a` or `b`",
                "没有字段 `x`；可用的有 `a`, `b`",
                "unknown field `x`, expected `a` or `b`",
            ),
            (
                "unknown variant `x`, expected one of `a`, `b`, `c`",
                "没有取值 `x`；可用的有 `a`, `b`, `c`",
                "unknown variant `x`, expected one of `a`, `b`, `c`",
            ),
            (
                "invalid value: integer `-1`, expected u16",
                "取值不符：须为0至65535的整数，而不是整数 `-1`",
                "must be a whole number, 0 to 65535, not integer `-1`",
            ),
            (
                "invalid type: null, expected a string",
                "类型不符：须为字符串，而不是null",
                "must be a string, not null",
            ),
            (
                "Failed to deserialize query string: limit: invalid digit found in string",
                "limit：须为整数",
                "limit: must be a whole number",
            ),
            ("something new", "无法识别：something new", "something new"),
        ] {
            let words = of(said);
            assert_eq!((words.chinese(), words.english()), (chinese, english));
        }
    }
}
