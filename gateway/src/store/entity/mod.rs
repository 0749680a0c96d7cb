//! The tables as types: one set of entities for both databases. A test compares them with what the migrations make.

pub mod api_token;
pub mod audit;
pub mod command;
pub mod device;
pub mod device_log;
pub mod device_report;
pub mod follower;
pub mod idempotency;
pub mod log_gap;
pub mod log_quarantine;
pub mod member;
pub mod organization;
pub mod outbox;
pub mod reading_mark;
pub mod stamp;
pub mod use_grant;
pub mod verification_code;
