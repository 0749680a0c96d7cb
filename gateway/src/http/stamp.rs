//! Stamp records and abnormal use.

use axum::{Json, extract::State, http::Uri};
use data_encoding::HEXLOWER;
use sealgate_domain::{GrantId, MemberId, OrganizationId, stamp::AbnormalKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::stamps::{Facts, StampFilter, StampShown, abnormal_name};

use super::{
    Api,
    answer::Refusals,
    auth::Caller,
    extract::{Body, Params, Path},
    paging::{self, Cursors, Page},
    problem::Problem,
    values::{DeviceRef, EXAMPLE_DEVICE, PositionView, Time},
};

/// A stamp record: one press of a seal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StampView {
    device: DeviceRef,
    /// The log it is in; with `seq` the record's key.
    epoch: i64,
    seq: i64,
    /// Times the device had started.
    boot: i64,
    /// Seconds since that start.
    uptime_s: i64,
    /// The device's own clock, if it had one.
    wall: Option<Time>,
    clock_quality: i32,
    /// 1 is a press, 250 stands for records the device lost.
    kind: i32,
    /// The grant it ran under.
    grant: Option<Uuid>,
    /// That grant's number on the device; 0 is none.
    grant_no: i64,
    member: Option<Uuid>,
    /// That member's name, also when removed since.
    #[schema(example = "Li Na")]
    member_name: Option<String>,
    organization: Option<Uuid>,
    /// Its number within the grant.
    n: i32,
    position: Option<PositionView>,
    facts: FactsView,
    /// Class of abnormal use, 1 to 10 (REC-6).
    abnormal: Option<i32>,
    /// The name of that class.
    #[schema(example = "over count")]
    abnormal_name: Option<&'static str>,
    /// The nearest reported charge, in percent.
    battery: Option<i32>,
    received_at: Time,
    /// The best estimate of when it was.
    corrected_at: Time,
    /// `corrected_at` is within this many seconds of the truth.
    uncertainty_s: i64,
    /// SHA-256 of the record's bytes.
    hash: String,
}

/// What the device says about a press.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FactsView {
    /// All bits as sent.
    bits: u32,
    /// `never`, `active`, `exhausted`, `time_over`, `ended`, `none_now`, `outside_region`, `fingerprint_missing`,
    /// `restricted` or `not_begun`.
    #[schema(example = "active")]
    grant_state: String,
    locked: bool,
    /// The bracket was out (拉伸).
    stretched: bool,
    /// `running`, `booting` or `shutting_down`.
    #[schema(example = "running")]
    phase: String,
    /// `on`, `qr` or `off`.
    #[schema(example = "on")]
    screen: String,
    /// Less than a second after the press before.
    quick: bool,
    offline_mode: bool,
    /// `none`, `gprs`, `ble` or `uart`.
    #[schema(example = "gprs")]
    link: String,
    /// A photo was asked for.
    photo: bool,
    /// A finger of the user had matched.
    fingerprint: bool,
}

impl From<Facts> for FactsView {
    fn from(facts: Facts) -> Self {
        Self {
            bits: facts.bits,
            grant_state: facts.grant_state.to_owned(),
            locked: facts.locked,
            stretched: facts.stretched,
            phase: facts.phase.to_owned(),
            screen: facts.screen.to_owned(),
            quick: facts.quick,
            offline_mode: facts.offline_mode,
            link: facts.link.to_owned(),
            photo: facts.photo,
            fingerprint: facts.fingerprint,
        }
    }
}

impl From<StampShown> for StampView {
    fn from(shown: StampShown) -> Self {
        let StampShown { stamp, member_name } = shown;
        Self {
            member_name,
            device: DeviceRef(stamp.device()),
            epoch: stamp.epoch,
            seq: stamp.seq,
            boot: stamp.boot,
            uptime_s: stamp.up,
            // The device's clock counts seconds, and 0 is none.
            wall: (stamp.wall > 0).then(|| Time::at(stamp.wall.saturating_mul(1_000))),
            clock_quality: stamp.clock_quality,
            kind: stamp.kind,
            grant: stamp.grant_id,
            grant_no: stamp.grant_no,
            member: stamp.member_id,
            organization: stamp.organization_id,
            n: stamp.n,
            position: PositionView::read(stamp.lat_e7, stamp.lon_e7, stamp.accuracy),
            facts: Facts::read(stamp.facts).into(),
            abnormal: stamp.abnormal,
            abnormal_name: stamp.abnormal.and_then(abnormal_name),
            battery: stamp.battery,
            received_at: Time::at(stamp.received_at),
            corrected_at: Time::at(stamp.corrected_at),
            uncertainty_s: stamp.uncertainty_s,
            hash: HEXLOWER.encode(&stamp.hash),
        }
    }
}

/// Which records.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StampQuery {
    /// Of this device.
    #[param(value_type = Option<String>)]
    device: Option<DeviceRef>,
    /// Of this organization.
    organization: Option<Uuid>,
    /// Of this member.
    member: Option<Uuid>,
    /// Under this grant.
    grant: Option<Uuid>,
    /// Only abnormal use.
    abnormal: Option<bool>,
    /// Only this class of it, 1 to 10 (REC-6).
    class: Option<u8>,
    /// Made at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Time>,
    /// Made before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Time>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page, 1 to 200.
    limit: Option<u32>,
}

impl StampQuery {
    fn filter(&self) -> Result<StampFilter, Problem> {
        let known = |class| {
            AbnormalKind::from_number(class).ok_or_else(|| {
                Problem::bad_request("invalid_query", ("class：须为1至10", "class: 1 to 10"))
            })
        };
        Ok(StampFilter {
            device: self.device.map(|device| device.0),
            organization: self.organization.map(OrganizationId),
            member: self.member.map(MemberId),
            grant: self.grant.map(GrantId),
            abnormal: self.abnormal.unwrap_or(false),
            class: self.class.map(known).transpose()?,
            from: self.from.map(|time| time.0),
            until: self.to.map(|time| time.0),
        })
    }
}

/// List stamp records, newest first.
#[utoipa::path(get, path = "/stamps", tag = "stamps", operation_id = "list_stamps",
    params(StampQuery), security(("token" = ["stamp:read"])),
    responses((status = 200, description = "A page", body = Page<StampView>), Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
    uri: Uri,
    Params(query): Params<StampQuery>,
) -> Result<Json<Page<StampView>>, Problem> {
    let listing = Cursors::listing(&uri);
    let limit = paging::limit(query.limit)?;
    let before = api.cursors.after(&listing, query.cursor.as_deref())?;
    let found = api
        .app
        .stamps(&actor, query.filter()?, before, limit + 1)
        .await?;
    let page = api
        .cursors
        .page(&listing, found, limit, |row| row.stamp.time_key());
    Ok(Json(page.map(StampView::from)))
}

/// Which part of a log.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page, 1 to 200.
    limit: Option<u32>,
}

/// Read a device's log, newest record first.
#[utoipa::path(get, path = "/devices/{device}/stamps", tag = "stamps", operation_id = "list_device_stamps",
    params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE)), LogQuery), security(("token" = ["stamp:read"])),
    responses((status = 200, description = "A page", body = Page<StampView>), Refusals))]
pub(crate) async fn of_device(
    State(api): State<Api>,
    Caller(actor): Caller,
    uri: Uri,
    Path(DeviceRef(device)): Path<DeviceRef>,
    Params(query): Params<LogQuery>,
) -> Result<Json<Page<StampView>>, Problem> {
    let listing = Cursors::listing(&uri);
    let limit = paging::limit(query.limit)?;
    let before = api.cursors.after(&listing, query.cursor.as_deref())?;
    let found = api
        .app
        .device_stamps(&actor, device, before, limit + 1)
        .await?;
    let page = api.cursors.page(&listing, found, limit, |row| {
        (row.stamp.epoch, row.stamp.seq)
    });
    Ok(Json(page.map(StampView::from)))
}

/// A page of abnormal use.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AbnormalPage {
    items: Vec<StampView>,
    /// Send it as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
    /// Records not yet marked as read; 1000 stands for as many or more.
    unread: u64,
    /// Send it to `POST /abnormal/read` to mark all that exists now.
    newest: i64,
}

/// Which abnormal use.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AbnormalQuery {
    /// Of this organization.
    organization: Option<Uuid>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page, 1 to 200.
    limit: Option<u32>,
}

/// How far abnormal use has been read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadBody {
    /// `newest` of the list that was shown.
    #[schema(example = 1)]
    upto: i64,
    /// Of this organization; a token bound to one need not say so.
    #[schema(example = json!(null))]
    organization: Option<Uuid>,
}

/// How many are left.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnreadView {
    /// Records not yet marked as read; 1000 stands for as many or more.
    unread: u64,
}

/// List abnormal use, newest first, with the number this token has not read (REC-6).
#[utoipa::path(get, path = "/abnormal", tag = "stamps", operation_id = "list_abnormal",
    params(AbnormalQuery), security(("token" = ["stamp:read"])),
    responses((status = 200, description = "A page", body = AbnormalPage), Refusals))]
pub(crate) async fn abnormal(
    State(api): State<Api>,
    Caller(actor): Caller,
    uri: Uri,
    Params(query): Params<AbnormalQuery>,
) -> Result<Json<AbnormalPage>, Problem> {
    let listing = Cursors::listing(&uri);
    let limit = paging::limit(query.limit)?;
    let before = api.cursors.after(&listing, query.cursor.as_deref())?;
    let organization = query.organization.map(OrganizationId);
    let found = api
        .app
        .abnormal(&actor, organization, before, limit + 1)
        .await?;
    let page = api
        .cursors
        .page(&listing, found.items, limit, |row| row.stamp.time_key());
    let page = page.map(StampView::from);
    Ok(Json(AbnormalPage {
        items: page.items,
        next_cursor: page.next_cursor,
        unread: found.unread,
        newest: found.newest,
    }))
}

/// Mark abnormal use as read.
#[utoipa::path(post, path = "/abnormal/read", tag = "stamps", operation_id = "mark_abnormal_read",
    request_body = ReadBody, security(("token" = ["stamp:read"])),
    responses((status = 200, description = "Marked", body = UnreadView), Refusals))]
pub(crate) async fn mark_read(
    State(api): State<Api>,
    Caller(actor): Caller,
    Body(body): Body<ReadBody>,
) -> Result<Json<UnreadView>, Problem> {
    let organization = body.organization.map(OrganizationId);
    let unread = api
        .app
        .mark_abnormal_read(&actor, organization, body.upto)
        .await?;
    Ok(Json(UnreadView { unread }))
}
