//! Text messages kept in memory: for tests and the demo, where the provider is configured to keep them.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, answer::Refusals, auth::Caller, problem::Problem, values::Time};

/// A text message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageView {
    #[schema(example = "13800138000")]
    phone: String,
    /// `code`, `lock` or `notice`.
    #[schema(example = "code")]
    template: String,
    text: String,
    at: Time,
}

/// The newest messages first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Inbox {
    items: Vec<MessageView>,
}

/// Read the text messages this node keeps; 404 unless the memory provider is configured.
#[utoipa::path(get, path = "/sms-inbox", tag = "health", operation_id = "read_sms_inbox",
    security(("token" = ["token:admin"])),
    responses((status = 200, description = "Messages", body = Inbox), Refusals))]
pub(crate) async fn read(
    State(api): State<Api>,
    Caller(actor): Caller,
) -> Result<Json<Inbox>, Problem> {
    let messages = api.app.sms_inbox(&actor)?;
    let items = messages
        .into_iter()
        .map(|message| MessageView {
            phone: message.phone,
            template: message.template.name().to_owned(),
            text: message.text,
            at: Time(message.at),
        })
        .collect();
    Ok(Json(Inbox { items }))
}
