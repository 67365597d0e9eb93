//! The data structures that a CPU runs on: segments and tasks, gates and what they lead to,
//! pages, shadow stacks.

pub(crate) mod descriptors;
pub(crate) mod exceptions;
pub(crate) mod paging;
pub(crate) mod probe;
pub(crate) mod shadow_stack;
