//! Typed settings, one struct a topic; unknown keys are errors.
