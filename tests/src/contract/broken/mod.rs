//! Broken variants: each of the ways in which switching is known to go wrong, built
//! into a policy that is right otherwise.
//!
//! A [`Flaw`] is a type whose constants say what is wrong. The policies of this
//! module read them; with [`Sound`] nothing is, and the checker must pass them.
//!
//! | hazard | what is wrong | variant |
//! |---|---|---|
//! | H1, H2 | no resident flag | [`NoResidentFlag`] |
//! | H3 | the host's values overwritten by 0 | [`HostZeroed`] |
//! | H4 | a host write does not activate, while reads find zeroed registers | [`HostWriteSleeps`] |
//! | H5 | reads let through while inactive | [`ReadsPass`] |
//! | H6 | activation loads the written register only | [`LoadsOnlyTheWritten`] |
//! | H7 | the flag is set before the register is written | [`ActiveBeforeWritten`] |
//! | H8 | IA32_XSS\[12\] does not activate | [`XrstorsIgnored`] |
//! | H9 | S_CET.SH_STK_EN does not activate | [`ShadowStacksIgnored`] |
//! | H10 | never intercepts again | [`NeverRearmed`] |
//! | H11 | reset forgets the saved values | [`ResetForgetsSaved`] |
//! | H12 | the host reads, or writes, the copy of a live state | [`HostReadsCopy`], [`HostWritesCopy`] |
//! | H13 | the features are read again at put | [`FeaturesAtPut`] |
//! | H24 | stale memory after the init optimisation | [`ReadsAreaRaw`] |
//! | H32 | intercepts again at INIT though IA32_XSS\[12\] is 1 | [`RearmsAtInit`] |
//! | H33 | an area changed between XRSTORS and XSAVES | [`ClearsArea`], [`HostByXsaves`] |
//! | H34, H35 | the CPU is not asked about a value that is legal by CPUID | [`Hardware::says_yes`](crate::contract::machine::Hardware) |
//! | H36 | an XSAVES that saved nothing is not noticed | [`UnsavedIgnored`] |
//! | | one register forgotten | [`ForgetsPl2`] |
//!
//! The test `every_broken_variant_is_found` goes through this table. That the good
//! policies have none of it is tested by
//!
//! | hazards | test |
//! |---|---|
//! | H1 to H6, H8 to H13, H24, H32, H33 | `*_keeps_the_contract_in_every_short_history`, `all_keep_the_contract_in_long_random_histories` |
//! | H7 | `an_interrupted_write_loses_nothing_else` |
//! | H10, a guest gone idle | `lazy_notices_a_guest_that_went_idle` |
//! | H14 | `a_guest_is_offered_only_what_the_cpu_has` |
//! | H18, H19 | `a_machine_without_shadow_stacks_or_the_load_cet_pair_is_refused` |
//! | H24, H33 | `xsave_keeps_the_contract_without_the_optimisations` beside the CPU that has them |
//! | H33, reused memory | `a_vcpu_in_the_place_of_another_keeps_the_hosts_values` |
//! | H8, IA32_XSS passed through | `eager_and_lazy_keep_the_contract_with_xss_passed_through` |
//! | H34, H35 | `all_keep_the_contract_on_cpus_with_wide_addresses` and the tests of `refused_values` |
//! | H36 | `xsave_keeps_the_contract_though_the_hosts_xss_is_not_written_back` |
//! | H39 | `a_second_put_does_not_look_at_another_vmcs` |

mod driver;
mod eager;
mod flaw;
mod lazy;
mod xsave;

pub use driver::{FeaturesAtPut, RearmsAtInit};
pub use eager::FlawedEager;
pub use flaw::*;
pub use lazy::FlawedLazy;
pub use xsave::FlawedXsave;
