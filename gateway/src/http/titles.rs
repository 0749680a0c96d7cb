//! Titles of problems in both languages. Rules of the domain bring their own.

/// Code, Chinese, English.
const TITLES: &[(&str, &str, &str)] = &[
    ("bad_request", "请求有误", "Bad request"),
    (
        "malformed_json",
        "请求体不是有效的 JSON",
        "The body is not valid JSON",
    ),
    ("invalid_body", "请求内容无效", "The body is not valid"),
    (
        "invalid_query",
        "查询参数无效",
        "A query parameter is not valid",
    ),
    (
        "invalid_path",
        "路径参数无效",
        "A path parameter is not valid",
    ),
    ("invalid_header", "请求头无效", "A header is not valid"),
    (
        "bad_cursor",
        "分页游标无效",
        "The paging cursor is not valid",
    ),
    ("unauthenticated", "未认证", "Not authenticated"),
    ("token_expired", "令牌已过期", "The token has expired"),
    ("token_revoked", "令牌已撤销", "The token was revoked"),
    ("forbidden", "没有权限", "Not permitted"),
    ("not_found", "未找到", "Not found"),
    (
        "position_gone",
        "事件位置已失效",
        "Events cannot be continued from there",
    ),
    ("method_not_allowed", "不支持该方法", "Method not allowed"),
    ("request_timeout", "请求超时", "The request took too long"),
    (
        "conflict",
        "与当前状态冲突",
        "In conflict with the current state",
    ),
    (
        "request_in_flight",
        "相同的请求正在处理",
        "The same request is being processed",
    ),
    (
        "precondition_failed",
        "内容已被修改",
        "Changed in the meantime",
    ),
    ("body_too_large", "请求体过大", "The body is too large"),
    (
        "unsupported_media_type",
        "不支持的内容类型",
        "Unsupported media type",
    ),
    (
        "idempotency_mismatch",
        "幂等键已用于其他请求",
        "The idempotency key was used for another request",
    ),
    (
        "precondition_required",
        "缺少 If-Match",
        "If-Match is required",
    ),
    ("rate_limited", "请求过于频繁", "Too many requests"),
    (
        "too_many_streams",
        "该令牌的事件流过多",
        "Too many event streams of this token",
    ),
    ("internal", "服务器内部错误", "Internal error"),
    (
        "provider_failed",
        "外部服务不可用",
        "An outside service failed",
    ),
    ("unavailable", "服务暂不可用", "Not available now"),
];

/// What can be missing, in Chinese.
const NOUNS: &[(&str, &str)] = &[
    ("command", "指令"),
    ("device", "设备"),
    ("grant", "授权"),
    ("inbox", "短信收件箱"),
    ("log", "日志"),
    ("member", "成员"),
    ("organization", "单位"),
    ("token", "令牌"),
];

/// The Chinese word for what is missing.
pub(crate) fn noun(english: &str) -> &'static str {
    let known = NOUNS.iter().find(|(noun, _)| *noun == english);
    known.map_or("对象", |(_, chinese)| chinese)
}

/// Chinese and English title of a code.
pub(crate) fn of(code: &str) -> (&'static str, &'static str) {
    TITLES
        .iter()
        .find(|(known, ..)| *known == code)
        .map_or(("请求被拒绝", "Refused"), |(_, chinese, english)| {
            (chinese, english)
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_one_title_in_each_language() {
        let codes: BTreeSet<_> = TITLES.iter().map(|(code, ..)| code).collect();
        assert_eq!(codes.len(), TITLES.len());
        for (code, chinese, english) in TITLES {
            assert!(!chinese.is_ascii(), "{code}");
            assert!(english.is_ascii(), "{code}");
        }
    }

    #[test]
    fn everything_a_use_case_can_miss_has_a_chinese_name() {
        fn look(folder: &std::path::Path, found: &mut BTreeSet<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    look(&path, found);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                for part in text.split("NotFound(\"").skip(1) {
                    found.insert(part.split('"').next().unwrap().to_owned());
                }
            }
        }
        let mut found = BTreeSet::new();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/app");
        look(std::path::Path::new(folder), &mut found);
        assert!(found.len() > 5, "{found:?}");
        for noun in found {
            assert_ne!(super::noun(&noun), "对象", "{noun}");
        }
    }
}
