//! Composition root: builds the rooms, holds the tasks, drains them in order.

mod listeners;
