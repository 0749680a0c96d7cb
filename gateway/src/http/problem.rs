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

use crate::app::{AppError, AuthFailure, StoreError, access::Reach};

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
    /// What exactly, in English.
    pub(crate) detail: Option<String>,
    /// Fields that were refused.
    pub(crate) errors: Vec<FieldProblem>,
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
    /// What exactly.
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
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a refused field.
    pub(crate) fn field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(FieldProblem {
            field: field.into(),
            message: message.into(),
        });
        self
    }

    /// A body that is well-formed JSON and says something impossible.
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body").field(field, message)
    }

    /// A query parameter or header that can't be read.
    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code).detail(detail)
    }

    /// Writes the document.
    pub(crate) fn render(self, language: Language, instance: &str) -> Response {
        let (chinese, english) = match self.rule {
            Some(rule) => (rule.title_zh(), rule.title_en()),
            None => titles::of(self.code),
        };
        let document = ProblemDocument {
            kind: format!("urn:sealgate:problem:{}", self.code),
            title: match language {
                Language::Chinese => chinese.to_owned(),
                Language::English => english.to_owned(),
            },
            status: self.status.as_u16(),
            detail: self.detail,
            instance: instance.to_owned(),
            code: self.code,
            rule: self.rule.map(RuleError::rule),
            errors: self.errors,
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
    let mut rendered = Problem::of_status(status).render(language, instance);
    if let Some(allow) = response.headers().get(header::ALLOW) {
        rendered.headers_mut().insert(header::ALLOW, allow.clone());
    }
    rendered
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
        StoreError::Stale(what) => Problem::new(StatusCode::CONFLICT, "conflict")
            .detail(format!("{what} was changed in the meantime")),
        StoreError::Exists(_) => {
            Problem::new(StatusCode::CONFLICT, "conflict").detail("such a one exists already")
        }
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

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        match error {
            AppError::NotFound(noun) => {
                Self::of_status(StatusCode::NOT_FOUND).detail(format!("no such {noun}"))
            }
            AppError::Unauthenticated(failure) => {
                let code = match failure {
                    AuthFailure::Missing | AuthFailure::Unknown => "unauthenticated",
                    AuthFailure::Expired => "token_expired",
                    AuthFailure::Revoked => "token_revoked",
                };
                Self::new(StatusCode::UNAUTHORIZED, code)
            }
            AppError::Denied { scope, reach } => {
                let whose = match reach {
                    Reach::Platform => ", of a token not bound to an organization",
                    Reach::Organization => "",
                };
                Self::of_status(StatusCode::FORBIDDEN)
                    .detail(format!("needs the scope {}{whose}", scope.name()))
            }
            AppError::Conflict(what) => Self::new(StatusCode::CONFLICT, "conflict").detail(what),
            AppError::Stale { current } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed")
                    .detail(format!("it is at version \"{current}\" now"))
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
