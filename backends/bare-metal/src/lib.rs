//! The instructions behind vmx-core's CPU traits, and the world switch.
