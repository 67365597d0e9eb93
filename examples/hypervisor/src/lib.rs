//! A small hypervisor over vmx-core and cet-policy, generic over the backend and the policy.
