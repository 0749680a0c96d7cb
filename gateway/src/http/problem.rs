//! Every refusal is an RFC 9457 problem document.
//!
//! A handler returns a [`Problem`] that knows neither language nor request id; the outermost middleware writes the
//! document. So a refusal made by the framework itself (404, 405, 413) gets one too, and no error path can forget
//! it. `code` is stable and documented; the title is for people and localized.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sealgate_domain::RuleError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{AppError, AuthFailure, StoreError, Words, access::Reach};

use super::{language::Language, titles};

/// The media type.
pub(crate) const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    /// Status of the answer.
    pub(crate) status: StatusCode,
    /// Stable name of the problem.
    pub(crate) code: &'static str,
    /// The business rule that refused; it brings its own titles.
    pub(crate) rule: Option<RuleError>,
    /// What exactly.
    pub(crate) detail: Option<Words>,
    /// Fields that were refused, and what is wrong with each.
    pub(crate) errors: Vec<(String, Words)>,
    /// Seconds after which trying again makes sense.
    pub(crate) retry_after: Option<u64>,
}

/// One refused field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldProblem {
    /// Path of the field, as `region.circle.radius_m`; `.` is the whole body.
    #[schema(example = "count")]
    pub(crate) field: String,
    /// What is wrong with it.
    #[schema(example = "must be at most 500")]
    pub(crate) message: String,
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument {
    /// Kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:sealgate:problem:device_offline")]
    pub(crate) kind: String,
    /// For people, in the language of the request.
    #[schema(example = "设备不在线")]
    pub(crate) title: String,
    /// The status code again.
    #[schema(example = 409)]
    pub(crate) status: u16,
    /// What exactly, in the language of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// The request's id, also in the `x-request-id` header.
    pub(crate) instance: String,
    /// Stable name of the problem.
    #[schema(example = "device_offline")]
    pub(crate) code: &'static str,
    /// The business rule that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "BIND-1")]
    pub(crate) rule: Option<&'static str>,
    /// Fields that were refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<FieldProblem>,
}

impl Problem {
    /// A problem of that name.
    pub(crate) fn new(status: StatusCode, code: &'static str) -> Self {
        Self {
            status,
            code,
            rule: None,
            detail: None,
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// The framework's own refusals, by status alone.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED => "unauthenticated",
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::REQUEST_TIMEOUT => "request_timeout",
            StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            status if status.is_server_error() => "internal",
            _ => "bad_request",
        };
        Self::new(status, code)
    }

    /// Adds what exactly.
    pub(crate) fn detail(mut self, detail: impl Into<Words>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a refused field.
    pub(crate) fn field(mut self, field: impl Into<String>, message: impl Into<Words>) -> Self {
        self.errors.push((field.into(), message.into()));
        self
    }

    /// A body that is well-formed JSON and says something impossible.
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<Words>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body").field(field, message)
    }

    /// A query parameter or header that can't be read.
    pub(crate) fn bad_request(code: &'static str, detail: impl Into<Words>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code).detail(detail)
    }

    /// Writes the document.
    pub(crate) fn render(self, language: Language, instance: &str) -> Response {
        let title = match self.rule {
            Some(rule) => (rule.title_zh(), rule.title_en()),
            None => titles::of(self.code),
        };
        let errors = self
            .errors
            .into_iter()
            .map(|(field, message)| FieldProblem {
                field,
                message: language.of_words(&message).to_owned(),
            });
        let document = ProblemDocument {
            kind: format!("urn:sealgate:problem:{}", self.code),
            title: language.of_words(&title.into()).to_owned(),
            status: self.status.as_u16(),
            detail: self
                .detail
                .map(|words| language.of_words(&words).to_owned()),
            instance: instance.to_owned(),
            code: self.code,
            rule: self.rule.map(RuleError::rule),
            errors: errors.collect(),
        };
        let mut response = (self.status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
        headers.insert(
            header::CONTENT_LANGUAGE,
            HeaderValue::from_static(language.tag()),
        );
        headers.insert(header::VARY, HeaderValue::from_static("accept-language"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Leaves the problem where the outermost middleware finds it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Marks an answer whose body must stay as it is, whatever the status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verbatim;

/// Makes a problem document of any refusal that is not one yet; other answers pass.
pub(crate) fn render(mut response: Response, language: Language, instance: &str) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return problem.render(language, instance);
    }
    let status = response.status();
    let refusal = status.is_client_error() || status.is_server_error();
    let verbatim = response.extensions().get::<Verbatim>().is_some();
    if !refusal || verbatim || response.headers().get(header::CONTENT_TYPE) == Some(&MEDIA_TYPE) {
        return response;
    }
    let mut problem = Problem::of_status(status);
    problem.detail = bare(status);
    let mut rendered = problem.render(language, instance);
    if let Some(allow) = response.headers().get(header::ALLOW) {
        rendered.headers_mut().insert(header::ALLOW, allow.clone());
    }
    rendered
}

/// What can be said of a refusal that brought no words of its own.
fn bare(status: StatusCode) -> Option<Words> {
    match status {
        StatusCode::NOT_FOUND => Some(Words::new(
            "没有这个路径；全部路径见 /docs",
            "there is no such path; /docs shows all of them",
        )),
        // The framework adds that header after this.
        StatusCode::METHOD_NOT_ALLOWED => Some(Words::new(
            "该路径支持的方法见响应头 Allow",
            "the header Allow of this answer names the methods of this path",
        )),
        _ => None,
    }
}

/// What was asked for can never be (422), is not possible now (409), or comes too often (429).
fn status_of(rule: RuleError) -> StatusCode {
    use RuleError as R;
    match rule {
        R::DeviceNameInvalid
        | R::DeviceNoteInvalid
        | R::BacklightOutOfRange
        | R::AutoOffOutOfRange
        | R::OrganizationNameInvalid
        | R::MemberNameInvalid
        | R::PhoneInvalid
        | R::CodeWrong
        | R::CodeExpired
        | R::CodeUsed
        | R::GrantWindowInvalid
        | R::GrantEndInPast
        | R::GrantCountOutOfRange
        | R::GrantRegionInvalid
        | R::GrantRemarkTooLong => StatusCode::UNPROCESSABLE_ENTITY,
        R::CodeTooSoon | R::CodeLockedOut => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::CONFLICT,
    }
}

fn of_store(error: &StoreError) -> Problem {
    match error {
        StoreError::Stale(_) => Problem::new(StatusCode::CONFLICT, "conflict").detail((
            "内容已被他人同时修改，请重试",
            "it was changed in the meantime; try again",
        )),
        StoreError::Exists(_) => Problem::new(StatusCode::CONFLICT, "conflict")
            .detail(("已存在相同的内容", "such a one exists already")),
        error if error.is_outage() => {
            tracing::error!(%error, "the database is away");
            Problem {
                retry_after: Some(1),
                ..Problem::of_status(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
        error => {
            tracing::error!(%error, "the database");
            Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// What was expected and why it was refused; never the token, nor anything about others'.
fn of_authentication(failure: AuthFailure) -> Problem {
    let (code, chinese, english) = match failure {
        AuthFailure::Missing => (
            "unauthenticated",
            "缺少请求头 Authorization: Bearer sk_…",
            "the header Authorization: Bearer sk_… is missing",
        ),
        AuthFailure::Malformed => (
            "unauthenticated",
            "请求头 Authorization 的格式须为 Bearer sk_…",
            "the header Authorization must have the form Bearer sk_…",
        ),
        AuthFailure::Unknown => (
            "unauthenticated",
            "请求头 Authorization 中的令牌不存在：可能抄写有误，或属于其他网关",
            "nobody has the token in the header Authorization: mistyped, or another gateway's",
        ),
        AuthFailure::Expired => (
            "token_expired",
            "请求头 Authorization 中的令牌已过有效期，请换用新令牌",
            "the time of the token in the header Authorization is over: use another",
        ),
        AuthFailure::Revoked => (
            "token_revoked",
            "请求头 Authorization 中的令牌已被撤销，请换用新令牌",
            "the token in the header Authorization was revoked: use another",
        ),
    };
    Problem::new(StatusCode::UNAUTHORIZED, code).detail((chinese, english))
}

/// No such thing, or none that the asker may know of.
fn of_missing(noun: &'static str) -> Problem {
    let words = (
        format!("没有这个{}", titles::noun(noun)),
        format!("no such {noun}"),
    );
    Problem::of_status(StatusCode::NOT_FOUND).detail(words)
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        match error {
            AppError::NotFound(noun) => of_missing(noun),
            AppError::Unauthenticated(failure) => of_authentication(failure),
            AppError::Denied { scope, reach } => {
                let name = scope.name();
                let words = match reach {
                    Reach::Platform => (
                        format!("需要权限 {name}，且令牌不得绑定单位"),
                        format!("needs the scope {name}, of a token not bound to an organization"),
                    ),
                    Reach::Organization => (
                        format!("需要权限 {name}"),
                        format!("needs the scope {name}"),
                    ),
                };
                Self::of_status(StatusCode::FORBIDDEN).detail(words)
            }
            AppError::Conflict(what) => Self::new(StatusCode::CONFLICT, "conflict").detail(what),
            AppError::Stale { current } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed").detail((
                    format!("当前版本为 \"{current}\""),
                    format!("it is at version \"{current}\" now"),
                ))
            }
            AppError::Invalid { field, message } => Self::invalid(field, message),
            AppError::TooOften(seconds) => Self {
                retry_after: Some(seconds),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited")
            },
            AppError::Rule(rule) => Self {
                rule: Some(rule),
                ..Self::new(status_of(rule), rule.code())
            },
            AppError::Store(error) => of_store(&error),
            AppError::Sms(error) => {
                tracing::error!(%error, "text message");
                Self::new(StatusCode::BAD_GATEWAY, "provider_failed")
            }
        }
    }
}
