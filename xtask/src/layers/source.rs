//! One source file, read as syntax: every path it mentions and every `unsafe`. Never knows what is allowed.

use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::Finding;

/// A file and what matters about it.
pub(super) struct Source {
    /// From the workspace's root, with `/`.
    pub(super) path: String,
    /// True if it opens with a `//!` comment.
    pub(super) has_header: bool,
    /// Every path it names.
    pub(super) mentions: Vec<Mention>,
    /// Every `unsafe`.
    pub(super) unsafes: Vec<Unsafe>,
}

/// A path as it would be written from the crate's root: `crate::judge::Verdict`, `aya::Ebpf`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) path: String,
    pub(super) line: usize,
}

/// One `unsafe` keyword.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsafe {
    pub(super) line: usize,
    /// The `macro_rules!` it stands in.
    pub(super) in_macro: Option<String>,
}

impl Source {
    /// Reads `text`, the contents of `path`; the finding says where it is not Rust.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Finding> {
        let mut source = Self {
            path: path.to_string_lossy().replace('\\', "/"),
            has_header: text.trim_start().starts_with("//!"),
            mentions: Vec::new(),
            unsafes: Vec::new(),
        };
        let parsed = syn::parse_file(text).and_then(|file| Ok((file, text.parse::<TokenStream>()?)));
        let (file, tokens) = parsed.map_err(|error| {
            source.finding(
                error.span().start().line,
                &format!("is not Rust this check can read: {error}"),
            )
        })?;
        source.unsafes = unsafes(tokens);
        let mut visitor = Paths {
            module: module_of(&source.path),
            found: Vec::new(),
        };
        visitor.visit_file(&file);
        source.mentions = visitor.found;
        Ok(source)
    }

    /// A finding in this file.
    pub(super) fn finding(&self, line: usize, said: &str) -> Finding {
        Finding {
            file: self.path.clone(),
            line,
            said: said.to_owned(),
        }
    }
}

/// The module a file is: `sentinel/src/sense/mem.rs` is `["sense", "mem"]`.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.split_once("/src/").map_or("", |(_, inside)| inside);
    let mut names: Vec<String> = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if names
        .last()
        .is_some_and(|last| ["mod", "lib", "main", ""].contains(&last.as_str()))
    {
        names.pop();
    }
    names
}

/// Collects paths; `self` and `super` are resolved against `module`.
struct Paths {
    module: Vec<String>,
    found: Vec<Mention>,
}

impl Paths {
    fn add(&mut self, names: &[String], line: usize) {
        let path = match names.first().map(String::as_str) {
            Some("self" | "super") => {
                let mut module = self.module.clone();
                let mut rest = names.iter().peekable();
                while let Some(word) = rest.next_if(|word| ["self", "super"].contains(&word.as_str())) {
                    if word == "super" {
                        module.pop();
                    }
                }
                let absolute: Vec<&str> = ["crate"]
                    .into_iter()
                    .chain(module.iter().chain(rest).map(String::as_str))
                    .collect();
                absolute.join("::")
            }
            _ => names.join("::"),
        };
        self.found.push(Mention { path, line });
    }

    fn add_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add(&with(&name.ident), name.ident.span().start().line),
            syn::UseTree::Rename(name) => self.add(&with(&name.ident), name.ident.span().start().line),
            syn::UseTree::Glob(glob) => self.add(before, glob.star_token.spans[0].start().line),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
        }
    }

    /// Paths inside a macro's tokens, where only spelling can be followed: `a::b::c`.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut line, mut colons) = (Vec::new(), 0, 2);
        for token in tokens {
            match token {
                TokenTree::Ident(word) if colons == 2 => {
                    line = if path.is_empty() {
                        word.span().start().line
                    } else {
                        line
                    };
                    path.push(word.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && colons < 2 => colons += 1,
                other => {
                    self.end_path(&mut path, line);
                    colons = 2;
                    match other {
                        TokenTree::Group(group) => self.add_tokens(group.stream()),
                        TokenTree::Ident(word) => {
                            line = word.span().start().line;
                            path.push(word.to_string());
                            colons = 0;
                        }
                        _ => {}
                    }
                }
            }
        }
        self.end_path(&mut path, line);
    }

    fn end_path(&mut self, path: &mut Vec<String>, line: usize) {
        if path.len() > 1 {
            self.add(path, line);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first().filter(|_| names.len() > 1) {
            self.add(&names, first.ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {
        // `pub(in path)` says who may see, and imports nothing.
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.add_tokens(call.tokens.clone());
    }
}

/// Every `unsafe` keyword, with the `macro_rules!` around it.
fn unsafes(tokens: TokenStream) -> Vec<Unsafe> {
    fn walk(tokens: TokenStream, in_macro: Option<&str>, found: &mut Vec<Unsafe>) {
        let mut before: [String; 3] = Default::default();
        for token in tokens {
            match &token {
                TokenTree::Ident(word) if word == "unsafe" => found.push(Unsafe {
                    line: word.span().start().line,
                    in_macro: in_macro.map(str::to_owned),
                }),
                TokenTree::Group(group) => {
                    let defined = (before[0] == "macro_rules" && before[1] == "!").then_some(before[2].as_str());
                    walk(group.stream(), defined.or(in_macro), found);
                }
                _ => {}
            }
            before.rotate_left(1);
            before[2] = if matches!(token, TokenTree::Group(_)) {
                String::new()
            } else {
                token.to_string()
            };
        }
    }
    let mut found = Vec::new();
    walk(tokens, None, &mut found);
    found
}
