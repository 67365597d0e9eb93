//! VMREAD and VMWRITE.

use crate::vmcs::error::VmxError;
use crate::vmcs::field::encoding::{Encoding, Field, ReadWrite};
use crate::vmcs::field::value::FieldValue;

/// VMREAD and VMWRITE of the current VMCS. Nothing written takes effect before
/// VM entry, whose contract covers it.
pub trait VmcsAccess {
    /// VMREAD of any encoding.
    ///
    /// # Errors
    /// [`VmxError::FailInvalid`] without a current VMCS,
    /// [`VmxError::FailValid`] number 12 where the CPU has no such field.
    fn vmread(&self, encoding: Encoding) -> Result<u64, VmxError>;

    /// VMWRITE of any encoding.
    ///
    /// # Errors
    /// As [`vmread`](Self::vmread), and number 13 for a read-only field.
    fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError>;

    /// Reads a field as its type.
    ///
    /// # Errors
    /// As [`vmread`](Self::vmread).
    fn read<V: FieldValue, A>(&self, field: Field<V, A>) -> Result<V, VmxError>
    where
        Self: Sized,
    {
        self.vmread(field.encoding()).map(V::from_field)
    }

    /// Writes a field. A read-only one does not compile.
    ///
    /// # Errors
    /// As [`vmwrite`](Self::vmwrite).
    fn write<V: FieldValue>(&mut self, field: Field<V, ReadWrite>, value: V) -> Result<(), VmxError>
    where
        Self: Sized,
    {
        self.vmwrite(field.encoding(), value.into_field())
    }
}

impl<T: VmcsAccess + ?Sized> VmcsAccess for &mut T {
    #[inline]
    fn vmread(&self, encoding: Encoding) -> Result<u64, VmxError> {
        (**self).vmread(encoding)
    }

    #[inline]
    fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError> {
        (**self).vmwrite(encoding, value)
    }
}
