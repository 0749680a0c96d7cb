//! Stamp records, as read. Only ingest writes them.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait as _},
};
use sealgate_domain::{DeviceId, GrantId, MemberId, Millis, OrganizationId, stamp::AbnormalKind};

use super::{Reader, StoreError, device::number, entity::stamp as table};

/// A row.
pub use table::Model as Row;

impl Row {
    /// Its device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        DeviceId::from_key(self.device_id)
    }

    /// Its number in the log.
    #[must_use]
    pub fn seq(&self) -> u32 {
        number(self.seq)
    }

    /// Its class of abnormal use.
    #[must_use]
    pub fn abnormal_kind(&self) -> Option<AbnormalKind> {
        let class = u8::try_from(self.abnormal?).ok()?;
        AbnormalKind::from_number(class)
    }

    /// The key to go on behind it in a list by time.
    #[must_use]
    pub fn time_key(&self) -> (i64, i64) {
        (self.corrected_at, self.position)
    }
}

/// Which stamps to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StampFilter {
    /// Of this organization.
    pub organization: Option<OrganizationId>,
    /// By this device.
    pub device: Option<DeviceId>,
    /// Under a grant of this member.
    pub member: Option<MemberId>,
    /// Under this grant.
    pub grant: Option<GrantId>,
    /// Abnormal ones only.
    pub abnormal: bool,
    /// Of this class.
    pub class: Option<AbnormalKind>,
    /// Made at or behind this time.
    pub from: Option<Millis>,
    /// Made before this time.
    pub until: Option<Millis>,
}

impl StampFilter {
    /// Is it about some time only? A log is not walked for that: it may be long.
    const fn timed(&self) -> bool {
        let any = self.abnormal || self.class.is_some();
        !any && (self.from.is_some() || self.until.is_some())
    }
}

/// Stamps by the time they were made, newest first, behind `before` ([`Row::time_key`]). Those of one device come in
/// the order of its log, which is the same but for clocks gone wrong, unless a time is asked for.
///
/// # Errors
/// The database.
pub async fn list(
    r: &Reader,
    filter: &StampFilter,
    before: Option<(i64, i64)>,
    limit: u64,
) -> Result<Vec<Row>, StoreError> {
    let of_one_device = filter.device.is_some() && filter.grant.is_none() && !filter.timed();
    let query = match (of_one_device, before) {
        (false, before) => by_time(filter, before, r.is_postgres()),
        (true, None) => by_log(filter, None),
        (true, Some((_, position))) => {
            let last = table::Entity::find_by_id(position).one(r).await?;
            by_log(filter, last.map(|row| (row.epoch, row.seq)))
        }
    };
    Ok(query.limit(limit).all(r).await?)
}

pub(super) fn by_time(
    filter: &StampFilter,
    before: Option<(i64, i64)>,
    postgres: bool,
) -> sea_orm::Select<table::Entity> {
    use table::Column;
    let mut query = table::Entity::find()
        .filter(condition(filter, postgres))
        .order_by_desc(Column::CorrectedAt)
        .order_by_desc(Column::Position);
    if let Some((at, position)) = before {
        // The first condition alone bounds the index; the second cuts the equals.
        let equal = Condition::all()
            .add(Column::CorrectedAt.eq(at))
            .add(Column::Position.lt(position));
        query = query
            .filter(Column::CorrectedAt.lte(at))
            .filter(Condition::any().add(Column::CorrectedAt.lt(at)).add(equal));
    }
    query
}

pub(super) fn by_log(
    filter: &StampFilter,
    before: Option<(i64, i64)>,
) -> sea_orm::Select<table::Entity> {
    use table::Column;
    let query = table::Entity::find()
        .filter(condition(filter, true))
        .order_by_desc(Column::Epoch)
        .order_by_desc(Column::Seq);
    let Some((epoch, seq)) = before else {
        return query;
    };
    let same = Condition::all()
        .add(Column::Epoch.eq(epoch))
        .add(Column::Seq.lt(seq));
    query
        .filter(Column::Epoch.lte(epoch))
        .filter(Condition::any().add(Column::Epoch.lt(epoch)).add(same))
}

fn condition(filter: &StampFilter, postgres: bool) -> Condition {
    use table::Column;
    // SQLite knows no statistics: keep it from walking a whole organization, or a whole class of abnormal use, for one
    // member's, grant's or device's stamps.
    let of_one = filter.member.is_some() || filter.grant.is_some() || filter.device.is_some();
    let narrower = of_one && !postgres;
    let organization = filter.organization.map(|id| match narrower {
        true => Expr::cust("+\"stamp\".\"organization_id\"").eq(id.0),
        false => Column::OrganizationId.eq(id.0),
    });
    // A grant is one device's: its stamps are few beside the device's.
    let device = filter
        .device
        .map(|id| match filter.grant.is_some() && !postgres {
            true => Expr::cust("+\"stamp\".\"device_id\"").eq(id.to_key()),
            false => Column::DeviceId.eq(id.to_key()),
        });
    let class = filter.class.map(|class| {
        let class = i32::from(class.number());
        match narrower {
            true => Expr::cust("+\"stamp\".\"abnormal\"").eq(class),
            false => Column::Abnormal.eq(class),
        }
    });
    let abnormal = filter.abnormal || filter.class.is_some();
    Condition::all()
        .add_option(organization)
        .add_option(device)
        .add_option(filter.member.map(|id| Column::MemberId.eq(id.0)))
        .add_option(filter.grant.map(|id| Column::GrantId.eq(id.0)))
        .add_option(abnormal.then(|| Column::Abnormal.is_not_null()))
        .add_option(class)
        .add_option(filter.from.map(|at| Column::CorrectedAt.gte(at.0)))
        .add_option(filter.until.map(|at| Column::CorrectedAt.lt(at.0)))
}

/// A device's log, newest record first, behind record `before` (epoch, seq); `organization` narrows to its records.
///
/// # Errors
/// The database.
pub async fn log_of(
    r: &Reader,
    device: DeviceId,
    organization: Option<OrganizationId>,
    before: Option<(u32, u32)>,
    limit: u64,
) -> Result<Vec<Row>, StoreError> {
    use table::Column;
    let mut query = table::Entity::find()
        .filter(Column::DeviceId.eq(device.to_key()))
        .order_by_desc(Column::Epoch)
        .order_by_desc(Column::Seq)
        .limit(limit);
    if let Some(organization) = organization {
        query = query.filter(Column::OrganizationId.eq(organization.0));
    }
    if let Some((epoch, seq)) = before {
        let same = Condition::all()
            .add(Column::Epoch.eq(i64::from(epoch)))
            .add(Column::Seq.lt(i64::from(seq)));
        query = query.filter(Column::Epoch.lte(i64::from(epoch))).filter(
            Condition::any()
                .add(Column::Epoch.lt(i64::from(epoch)))
                .add(same),
        );
    }
    Ok(query.all(r).await?)
}

/// Records `from..upto` of a device's log, oldest first: what an event of the stamp topic names.
///
/// # Errors
/// The database.
pub async fn range(
    r: &Reader,
    device: DeviceId,
    epoch: u32,
    from: u32,
    upto: u32,
) -> Result<Vec<Row>, StoreError> {
    use table::Column;
    let query = table::Entity::find()
        .filter(Column::DeviceId.eq(device.to_key()))
        .filter(Column::Epoch.eq(i64::from(epoch)))
        .filter(Column::Seq.gte(i64::from(from)))
        .filter(Column::Seq.lt(i64::from(upto)))
        .order_by_asc(Column::Seq);
    Ok(query.all(r).await?)
}

/// One record.
///
/// # Errors
/// The database.
pub async fn find(
    r: &Reader,
    device: DeviceId,
    epoch: u32,
    seq: u32,
) -> Result<Option<Row>, StoreError> {
    Ok(range(r, device, epoch, seq, seq.saturating_add(1))
        .await?
        .pop())
}
