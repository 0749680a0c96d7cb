//! Where links enter.
