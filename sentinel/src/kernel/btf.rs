//! Reads the kernel's own description of its types (BTF): where a field lies, how long a type is, what a tracepoint
//! passes.
//!
//! Format: the kernel's `Documentation/bpf/btf.rst`. Every read is checked; a kind this parser does not know is an
//! error, because the length of what follows it is not known either.

use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;
/// Members looked at for one field, with those of anonymous members: no kernel has structures a tenth as large.
const MOST_MEMBERS: u32 = 100_000;

/// What is wrong with type information.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// It ends too early.
    #[error("it ends at byte {0}, in the middle of a record")]
    Truncated(usize),
    /// It does not begin with the magic number.
    #[error("it begins with {0:#06x}, not with {MAGIC:#06x}")]
    BadMagic(u16),
    /// A kind from the future.
    #[error("type {id} is of kind {kind}, which is not known")]
    UnknownKind {
        /// Number of the type.
        id: u32,
        /// Its kind.
        kind: u32,
    },
}

/// Types by number.
pub struct Btf {
    types: Vec<Type>,
    strings: Vec<u8>,
    by_name: HashMap<(String, Class), u32>,
}

/// Names are unique per class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Class {
    Composite,
    Typedef,
    Enumeration,
    Section,
}

#[derive(Clone, Debug)]
enum Type {
    Composite { size: u32, members: Vec<Member> },
    Array { element: u32, length: u32 },
    Pointer { target: u32 },
    Alias { target: u32 },
    Scalar { size: u32 },
    Function { params: Vec<u32> },
    Enumeration { size: u32, values: Vec<(u32, u32)> },
    Variable { name: u32 },
    Section { variables: Vec<(u32, u32)> },
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    name: u32,
    kind: u32,
    bit: u32,
}

/// A cursor over bytes that never reads past their end.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn u32(&mut self) -> Result<u32, BtfError> {
        let end = self.at.checked_add(4).ok_or(BtfError::Truncated(self.at))?;
        let word = self
            .bytes
            .get(self.at..end)
            .ok_or(BtfError::Truncated(self.bytes.len()))?;
        self.at = end;
        Ok(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    }
}

impl Btf {
    /// Parses little-endian BTF.
    ///
    /// # Errors
    /// When it is cut short, foreign, or holds a kind this parser does not know.
    pub fn parse(bytes: &[u8]) -> Result<Self, BtfError> {
        let mut header = Reader { bytes, at: 0 };
        let magic = (header.u32()? & 0xffff) as u16;
        if magic != MAGIC {
            return Err(BtfError::BadMagic(magic));
        }
        let start = header.u32()? as usize;
        let (types_at, types_len) = (header.u32()? as usize, header.u32()? as usize);
        let (strings_at, strings_len) = (header.u32()? as usize, header.u32()? as usize);
        let part = |at: usize, len: usize| {
            let from = start.checked_add(at).ok_or(BtfError::Truncated(bytes.len()))?;
            let to = from.checked_add(len).ok_or(BtfError::Truncated(bytes.len()))?;
            bytes.get(from..to).ok_or(BtfError::Truncated(bytes.len()))
        };
        let strings = part(strings_at, strings_len)?.to_vec();
        let mut btf = Self {
            types: vec![Type::Other],
            strings,
            by_name: HashMap::new(),
        };
        let mut reader = Reader {
            bytes: part(types_at, types_len)?,
            at: 0,
        };
        while reader.at < reader.bytes.len() {
            btf.read_type(&mut reader)?;
        }
        Ok(btf)
    }

    fn read_type(&mut self, reader: &mut Reader<'_>) -> Result<(), BtfError> {
        let id = self.types.len() as u32;
        let (name, info, size_or_type) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let (kind, count, bitfields) = ((info >> 24) & 0x1f, info & 0xffff, info >> 31 == 1);
        let mut class = None;
        let read = match kind {
            1 => {
                reader.u32()?;
                Type::Scalar { size: size_or_type }
            }
            2 => Type::Pointer { target: size_or_type },
            3 => {
                let (element, _index, length) = (reader.u32()?, reader.u32()?, reader.u32()?);
                Type::Array { element, length }
            }
            4 | 5 => {
                class = Some(Class::Composite);
                let mut members = Vec::with_capacity(count as usize);
                for _ in 0..count {
                    let (name, kind, offset) = (reader.u32()?, reader.u32()?, reader.u32()?);
                    members.push(Member {
                        name,
                        kind,
                        bit: if bitfields { offset & 0xff_ffff } else { offset },
                    });
                }
                Type::Composite {
                    size: size_or_type,
                    members,
                }
            }
            6 => {
                class = Some(Class::Enumeration);
                let mut values = Vec::with_capacity(count as usize);
                for _ in 0..count {
                    values.push((reader.u32()?, reader.u32()?));
                }
                Type::Enumeration {
                    size: size_or_type,
                    values,
                }
            }
            8 => {
                class = Some(Class::Typedef);
                Type::Alias { target: size_or_type }
            }
            9..=11 | 18 => Type::Alias { target: size_or_type },
            7 | 12 => Type::Other,
            13 => {
                let mut params = Vec::with_capacity(count as usize);
                for _ in 0..count {
                    let (_name, kind) = (reader.u32()?, reader.u32()?);
                    params.push(kind);
                }
                Type::Function { params }
            }
            14 => {
                reader.u32()?;
                Type::Variable { name }
            }
            17 => {
                reader.u32()?;
                Type::Other
            }
            15 => {
                class = Some(Class::Section);
                let mut variables = Vec::with_capacity(count as usize);
                for _ in 0..count {
                    let (id, offset, _size) = (reader.u32()?, reader.u32()?, reader.u32()?);
                    variables.push((id, offset));
                }
                Type::Section { variables }
            }
            19 => {
                for _ in 0..count * 3 {
                    reader.u32()?;
                }
                Type::Scalar { size: size_or_type }
            }
            16 => Type::Scalar { size: size_or_type },
            kind => return Err(BtfError::UnknownKind { id, kind }),
        };
        self.types.push(read);
        if let Some(class) = class
            && let Some(name) = self.name(name).filter(|name| !name.is_empty())
        {
            let key = (name.to_owned(), class);
            self.by_name.entry(key).or_insert(id);
        }
        Ok(())
    }

    fn name(&self, at: u32) -> Option<&str> {
        let rest = self.strings.get(at as usize..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&rest[..end]).ok()
    }

    /// The type behind typedefs and qualifiers. Bounded, since foreign bytes may point in circles.
    fn resolve(&self, mut id: u32) -> Option<u32> {
        for _ in 0..32 {
            match self.types.get(id as usize)? {
                Type::Alias { target } => id = *target,
                _ => return Some(id),
            }
        }
        None
    }

    /// Byte offset of a field, named by a path of members as `sched_info.run_delay`. Members of anonymous structures
    /// and unions belong to what holds them. `None` when there is no such field, or it does not begin at a byte.
    #[must_use]
    pub fn offset(&self, structure: &str, path: &str) -> Option<u32> {
        self.field(structure, path).map(|(offset, _)| offset)
    }

    fn field(&self, structure: &str, path: &str) -> Option<(u32, u32)> {
        let mut id = *self.by_name.get(&(structure.to_owned(), Class::Composite))?;
        let mut bits = 0u32;
        let mut left = MOST_MEMBERS;
        for name in path.split('.') {
            let (bit, kind) = self.member(id, name, 0, &mut left)?;
            bits = bits.checked_add(bit)?;
            id = kind;
        }
        bits.is_multiple_of(8).then_some((bits / 8, id))
    }

    /// A bound on the depth alone would not end: each of many members may lead back to the structure it is in.
    fn member(&self, id: u32, name: &str, depth: u32, left: &mut u32) -> Option<(u32, u32)> {
        if depth > 16 {
            return None;
        }
        let Type::Composite { members, .. } = self.types.get(self.resolve(id)? as usize)? else {
            return None;
        };
        for member in members {
            *left = left.checked_sub(1)?;
            match self.name(member.name) {
                Some(found) if found == name => return Some((member.bit, member.kind)),
                Some("") => {
                    if let Some((bit, kind)) = self.member(member.kind, name, depth + 1, left) {
                        return Some((member.bit.checked_add(bit)?, kind));
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Length in bytes and number of elements of an array field; (length, 1) for any other field.
    #[must_use]
    pub fn element_bytes(&self, structure: &str, path: &str) -> Option<(u32, u32)> {
        let (_, id) = self.field(structure, path)?;
        match self.types.get(self.resolve(id)? as usize)? {
            Type::Array { element, length } => Some((self.size(*element, 0)?, *length)),
            _ => Some((self.size(id, 0)?, 1)),
        }
    }

    fn size(&self, id: u32, depth: u32) -> Option<u32> {
        if depth > 16 {
            return None;
        }
        match self.types.get(self.resolve(id)? as usize)? {
            Type::Composite { size, .. } | Type::Scalar { size } | Type::Enumeration { size, .. } => Some(*size),
            Type::Pointer { .. } => Some(8),
            Type::Array { element, length } => self.size(*element, depth + 1)?.checked_mul(*length),
            _ => None,
        }
    }

    /// True when the kernel has a structure of this name.
    #[must_use]
    pub fn has_struct(&self, name: &str) -> bool {
        self.by_name.contains_key(&(name.to_owned(), Class::Composite))
    }

    /// The names and values of an enumeration, in their order; none where there is none of this name.
    pub fn enumerators(&self, name: &str) -> impl Iterator<Item = (&str, u32)> {
        let values = match self.named(name, Class::Enumeration) {
            Some(Type::Enumeration { values, .. }) => values.as_slice(),
            _ => &[],
        };
        values
            .iter()
            .filter_map(|(name, value)| Some((self.name(*name)?, *value)))
    }

    /// Where a variable that each CPU has lies in the area of a CPU. `None` when there is none of this name, or the kernel was built
    /// by tools that did not write its variables down, as those of before 2020.
    #[must_use]
    pub fn per_cpu(&self, variable: &str) -> Option<u32> {
        let Type::Section { variables } = self.named(".data..percpu", Class::Section)? else {
            return None;
        };
        let is_it = |id: &u32| matches!(self.types.get(*id as usize), Some(Type::Variable { name }) if self.name(*name) == Some(variable));
        variables.iter().find(|(id, _)| is_it(id)).map(|(_, offset)| *offset)
    }

    fn named(&self, name: &str, class: Class) -> Option<&Type> {
        let id = *self.by_name.get(&(name.to_owned(), class))?;
        self.types.get(id as usize)
    }

    /// What a tracepoint passes: for each argument, whether it is a pointer. `None` when there is no such tracepoint.
    #[must_use]
    pub fn tracepoint(&self, name: &str) -> Option<Vec<bool>> {
        let id = *self.by_name.get(&(format!("btf_trace_{name}"), Class::Typedef))?;
        let Type::Pointer { target } = self.types.get(self.resolve(id)? as usize)? else {
            return None;
        };
        let Type::Function { params } = self.types.get(self.resolve(*target)? as usize)? else {
            return None;
        };
        // The first parameter is the tracepoint's own.
        let is_pointer = |id: &u32| {
            let resolved = self.resolve(*id).and_then(|id| self.types.get(id as usize));
            matches!(resolved, Some(Type::Pointer { .. }))
        };
        Some(params.iter().skip(1).map(is_pointer).collect())
    }
}

#[cfg(test)]
mod tests;
