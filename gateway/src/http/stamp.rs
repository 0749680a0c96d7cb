//! Stamp records and abnormal use.

use axum::{Json, extract::State, http::Uri};
use data_encoding::HEXLOWER;
use sealgate_domain::{GrantId, MemberId, OrganizationId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::stamp_list::{Facts, Stamp, StampFilter, StampKey};

use super::{
    Api,
    answer::Refusals,
    auth::Caller,
    extract::{Body, Path, Query},
    paging::{self, Cursors, Page},
    problem::Problem,
    values::{DeviceRef, EXAMPLE_DEVICE, PositionView, Time},
};

/// A stamp record: one press of a seal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StampView {
    device: DeviceRef,
    /// The log it is in; with `seq` the record's key.
    epoch: u32,
    seq: u32,
    /// Times the device had started.
    boot: u32,
    /// Seconds since that start.
    uptime_s: u32,
    /// The device's own clock, if it had one.
    wall: Option<Time>,
    clock_quality: u8,
    /// 1 is a press, 250 stands for records the device lost.
    kind: u8,
    /// The grant it ran under.
    grant: Option<Uuid>,
    /// That grant's number on the device; 0 is none.
    grant_no: u32,
    member: Option<Uuid>,
    organization: Option<Uuid>,
    /// Its number within the grant.
    n: u16,
    position: Option<PositionView>,
    facts: FactsView,
    /// Class of abnormal use, 1 to 10 (REC-6).
    abnormal: Option<u8>,
    /// The nearest reported charge, in percent.
    battery: Option<u8>,
    received_at: Time,
    /// The best estimate of when it was.
    corrected_at: Time,
    /// `corrected_at` is within this many seconds of the truth.
    uncertainty_s: u32,
    /// SHA-256 of the record's bytes.
    hash: String,
}

/// What the device says about a press.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FactsView {
    /// All bits as sent.
    bits: u32,
    /// `none`, `active`, `exhausted`, `outside_time`, `ended`, `before`, `outside_region`, `fingerprint_missing`.
    #[schema(example = "active")]
    grant_state: String,
    locked: bool,
    /// The bracket was out (拉伸).
    stretched: bool,
    /// `normal`, `booting` or `shutting_down`.
    #[schema(example = "normal")]
    phase: String,
    /// `on`, `qr` or `off`.
    #[schema(example = "on")]
    screen: String,
    /// Less than a second after the press before.
    quick: bool,
    offline_mode: bool,
    /// `gprs` or `ble`.
    #[schema(example = "gprs")]
    link: String,
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
        }
    }
}

impl From<Stamp> for StampView {
    fn from(stamp: Stamp) -> Self {
        Self {
            device: DeviceRef(stamp.device),
            epoch: stamp.epoch,
            seq: stamp.seq,
            boot: stamp.boot,
            uptime_s: stamp.uptime_s,
            wall: Time::opt(stamp.wall),
            clock_quality: stamp.clock_quality,
            kind: stamp.kind,
            grant: stamp.grant.map(|id| id.0),
            grant_no: stamp.grant_no,
            member: stamp.member.map(|id| id.0),
            organization: stamp.organization.map(|id| id.0),
            n: stamp.n,
            position: stamp
                .position
                .map(|(place, accuracy)| PositionView::new(place, accuracy)),
            facts: Facts::read(stamp.facts).into(),
            abnormal: stamp.abnormal,
            battery: stamp.battery,
            received_at: Time(stamp.received_at),
            corrected_at: Time(stamp.corrected_at),
            uncertainty_s: stamp.uncertainty_s,
            hash: HEXLOWER.encode(&stamp.hash),
        }
    }
}

/// Which records.
#[derive(Debug, Default, Deserialize, IntoParams)]
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
    /// Only abnormal use, or only ordinary use.
    abnormal: Option<bool>,
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
    fn filter(&self) -> StampFilter {
        StampFilter {
            device: self.device.map(|device| device.0),
            organization: self.organization.map(OrganizationId),
            member: self.member.map(MemberId),
            grant: self.grant.map(GrantId),
            abnormal: self.abnormal,
            from: self.from.map(|time| time.0),
            to: self.to.map(|time| time.0),
        }
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
    Query(query): Query<StampQuery>,
) -> Result<Json<Page<StampView>>, Problem> {
    let listing = Cursors::listing(&uri);
    let limit = paging::limit(query.limit)?;
    let after = api.cursors.after(&listing, query.cursor.as_deref())?;
    let found = api
        .app
        .stamps(&actor, query.filter(), after.map(key_of), limit + 1)
        .await?;
    let page = api.cursors.page(&listing, found, limit, key_from);
    Ok(Json(page.map(StampView::from)))
}

/// List a device's stamp records, newest first.
#[utoipa::path(get, path = "/devices/{device}/stamps", tag = "stamps", operation_id = "list_device_stamps",
    params(("device" = DeviceRef, Path, example = json!(EXAMPLE_DEVICE)), StampQuery), security(("token" = ["stamp:read"])),
    responses((status = 200, description = "A page", body = Page<StampView>), Refusals))]
pub(crate) async fn of_device(
    State(api): State<Api>,
    Caller(actor): Caller,
    uri: Uri,
    Path(device): Path<DeviceRef>,
    Query(mut query): Query<StampQuery>,
) -> Result<Json<Page<StampView>>, Problem> {
    if query.device.is_some_and(|asked| asked != device) {
        let detail = "device: the path names another";
        return Err(Problem::bad_request("invalid_query", detail));
    }
    query.device = Some(device);
    list(State(api), Caller(actor), uri, Query(query)).await
}

fn key_of((at, position): (i64, i64)) -> StampKey {
    StampKey { at, position }
}

fn key_from(stamp: &Stamp) -> (i64, i64) {
    (stamp.corrected_at.0, stamp.id)
}

/// A page of abnormal use.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AbnormalPage {
    items: Vec<StampView>,
    /// Send it as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
    /// Records not yet marked as read.
    unread: u64,
    /// Send it to `POST /abnormal/read` to mark all that exists now.
    newest: i64,
}

/// Which abnormal use.
#[derive(Debug, Default, Deserialize, IntoParams)]
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
    /// Records not yet marked as read.
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
    Query(query): Query<AbnormalQuery>,
) -> Result<Json<AbnormalPage>, Problem> {
    let listing = Cursors::listing(&uri);
    let limit = paging::limit(query.limit)?;
    let after = api.cursors.after(&listing, query.cursor.as_deref())?;
    let organization = query.organization.map(OrganizationId);
    let found = api
        .app
        .abnormal(&actor, organization, after.map(key_of), limit + 1)
        .await?;
    let page = api.cursors.page(&listing, found.items, limit, key_from);
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
