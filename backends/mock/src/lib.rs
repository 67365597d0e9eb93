//! Mocks of vmx-core's CPU traits, and a wrapper that counts every access.
