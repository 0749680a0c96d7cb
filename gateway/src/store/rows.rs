//! Whole rows, written: what the nouns' `insert` and `save` have in common.

use sea_orm::{
    ActiveModelTrait, EntityTrait, IntoActiveModel, ModelTrait, QueryFilter,
    sea_query::IntoCondition,
};

use super::{StoreError, Tx};

type Active<M> = <<M as ModelTrait>::Entity as EntityTrait>::ActiveModel;

/// A new row.
pub(super) async fn insert<M>(tx: &Tx, row: &M) -> Result<(), StoreError>
where
    M: ModelTrait + IntoActiveModel<Active<M>>,
{
    let all = row.clone().into_active_model().reset_all();
    M::Entity::insert(all).exec_without_returning(&**tx).await?;
    Ok(())
}

/// Writes all columns of the row that `key` names. Says whether there is one.
pub(super) async fn save<M>(tx: &Tx, row: &M, key: impl IntoCondition) -> Result<bool, StoreError>
where
    M: ModelTrait + IntoActiveModel<Active<M>>,
{
    let all = row.clone().into_active_model().reset_all();
    let done = M::Entity::update_many()
        .set(all)
        .filter(key)
        .exec(&**tx)
        .await?;
    Ok(done.rows_affected > 0)
}
