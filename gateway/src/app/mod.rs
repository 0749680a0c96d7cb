//! Use cases: check access, load, decide, save with audit and outbox rows in one transaction, wake.
