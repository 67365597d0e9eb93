//! The VMX architecture of Intel processors as data and types: VMCS fields, controls, MSR bitmaps, exits, lifecycle, and the traits through which a hypervisor sees its CPU.
