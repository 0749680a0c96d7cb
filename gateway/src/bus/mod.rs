//! Committed events out to MQTT subscribers of the business side, over rumqttd's router.
