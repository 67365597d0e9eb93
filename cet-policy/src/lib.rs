//! Policies that manage a guest's supervisor shadow-stack state (IA32_PL0_SSP to IA32_PL2_SSP).
