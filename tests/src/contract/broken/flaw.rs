//! What can be wrong with a policy.

/// What is wrong with a policy. Everything defaults to right.
#[allow(missing_docs)] // The table above says what each means.
pub trait Flaw: core::fmt::Debug {
    const NAME: &'static str;
    const NO_RESIDENT_FLAG: bool = false;
    const FORGETS_PL2: bool = false;
    const HOST_ZEROED: bool = false;
    const RESET_FORGETS_SAVED: bool = false;
    const HOST_READS_COPY: bool = false;
    const HOST_WRITES_COPY: bool = false;
    const HOST_WRITE_SLEEPS: bool = false;
    const READS_PASS: bool = false;
    const LOADS_ONLY_THE_WRITTEN: bool = false;
    const ACTIVE_BEFORE_WRITTEN: bool = false;
    const XRSTORS_IGNORED: bool = false;
    const SHADOW_STACKS_IGNORED: bool = false;
    const NEVER_REARMED: bool = false;
    const READS_AREA_RAW: bool = false;
    const CLEARS_AREA: bool = false;
    const HOST_BY_XSAVES: bool = false;
    const UNSAVED_IGNORED: bool = false;
}

macro_rules! flaws {
    ($($name:ident, $text:literal $(, $constant:ident)?;)+) => {
        $(
            #[doc = concat!("Flaw: ", $text, ".")]
            #[derive(Debug)]
            pub struct $name;
            impl Flaw for $name {
                const NAME: &'static str = $text;
                $(const $constant: bool = true;)?
            }
        )+
    };
}

flaws! {
    Sound, "none";
    NoResidentFlag, "no resident flag", NO_RESIDENT_FLAG;
    ForgetsPl2, "forgets IA32_PL2_SSP", FORGETS_PL2;
    HostZeroed, "overwrites the host's values by zero", HOST_ZEROED;
    ResetForgetsSaved, "reset forgets the saved values", RESET_FORGETS_SAVED;
    HostReadsCopy, "the host reads the copy of a live state", HOST_READS_COPY;
    HostWritesCopy, "the host writes the copy of a live state", HOST_WRITES_COPY;
    HostWriteSleeps, "a host write does not activate", HOST_WRITE_SLEEPS;
    ReadsPass, "reads let through while inactive", READS_PASS;
    LoadsOnlyTheWritten, "activation loads the written register only", LOADS_ONLY_THE_WRITTEN;
    ActiveBeforeWritten, "active before the register is written", ACTIVE_BEFORE_WRITTEN;
    XrstorsIgnored, "XRSTORS ignored", XRSTORS_IGNORED;
    ShadowStacksIgnored, "SH_STK_EN ignored", SHADOW_STACKS_IGNORED;
    NeverRearmed, "never intercepts again", NEVER_REARMED;
    ReadsAreaRaw, "reads the area whatever XSTATE_BV says", READS_AREA_RAW;
    ClearsArea, "clears the area before XSAVES", CLEARS_AREA;
    HostByXsaves, "saves the host's values by XSAVES", HOST_BY_XSAVES;
    UnsavedIgnored, "ignores that XSAVES saved nothing", UNSAVED_IGNORED;
}
