#!/usr/bin/env python3
"""Whether check-circles.py finds the circles of small crates, and no others."""

import subprocess
import sys
import tempfile
from pathlib import Path

CHECK = Path(__file__).with_name("check-circles.py")
# Files of one crate, and the circle in it; `None` if there is none.
CRATES = {
    "a parent and its child": (
        {"lib.rs": "mod a;\npub struct T;", "a.rs": "use super::T;"}, None),
    "two that use each other": (
        {"lib.rs": "mod a;\nmod b;", "a.rs": "use crate::b::B;\npub struct A;",
         "b.rs": "use crate::a::A;\npub struct B;"}, "a -> b -> a"),
    "a parent's `pub use` is of the child": (
        {"lib.rs": "mod a;\nmod b;\npub use b::B;", "a.rs": "use crate::B;\npub struct A;",
         "b.rs": "use crate::a::A;\npub struct B;"}, "a -> b -> a"),
    "a module that was brought by its name": (
        {"lib.rs": "mod a;\nmod b;", "a.rs": "use crate::b;\npub fn a() { b::inner::f() }",
         "b.rs": "pub mod inner;", "b/inner.rs": "pub fn f() { crate::a::a() }"},
        "a -> b::inner -> a"),
    "a module that was brought by `self`": (
        {"lib.rs": "mod a;\nmod b;", "a.rs": "use crate::b::{self};\npub fn a() { b::inner::f() }",
         "b.rs": "pub mod inner;", "b/inner.rs": "pub fn f() { crate::a::a() }"},
        "a -> b::inner -> a"),
    "methods in another file": (
        {"lib.rs": "mod a;\nmod b;", "a.rs": "pub struct A;\nimpl A { pub fn go(&self) { self.on() } }",
         "b.rs": "use crate::a::A;\nimpl A { pub fn on(&self) {} }"}, "a -> b -> a"),
    "methods of a generic type in another file": (
        {"lib.rs": "mod a;\nmod b;", "a.rs": "pub struct A<T>(T);\npub fn go(a: A<u8>) { A::on(a) }",
         "b.rs": "use super::a::*;\nimpl<T: Fn() -> u8> A<T>\nwhere\n    T: Copy,\n{ pub fn on(self) {} }"},
        "a -> b -> a"),
    "methods of a parent's type in its child": (
        {"lib.rs": "mod a;\nstruct T;\nfn go(t: &T) { t.on() }",
         "a.rs": "use super::T;\nimpl T { pub(super) fn on(&self) {} }"}, "the root -> a -> the root"),
    "methods in another file that only a third one calls": (
        {"lib.rs": "mod a;\nmod b;\nfn go(a: a::A) { a.on() }", "a.rs": "pub struct A;",
         "b.rs": "use crate::a::A;\nimpl A { pub fn on(&self) {} }"}, None),
    "a trait in another file": (
        {"lib.rs": "mod a;\nmod b;", "a.rs": "pub struct A;\npub fn go(a: A) { a.to_string() }",
         "b.rs": "use crate::a::A;\nimpl ToString for A { fn to_string(&self) {} }"}, None),
    "what tests use": (
        {"lib.rs": "mod a;\nmod b;", "a.rs": "pub struct A;\n#[cfg(test)]\nmod t { use crate::b::B; }",
         "b.rs": "use crate::a::A;\npub struct B;"}, None),
    "what stands below the tests": (
        {"lib.rs": "mod a;\nmod b;",
         "a.rs": "#[cfg(test)]\nmod t { const OPEN: char = '{'; const TEXT: &str = r#\"\"{\"#; }\n"
                 "use crate::b::B;\npub struct A;",
         "b.rs": "use crate::a::A;\npub struct B;"}, "a -> b -> a"),
    "what is only said": (
        {"lib.rs": "mod a;\nmod b;", "a.rs": "// crate::b::B\npub const A: &str = \"crate::b::B\";",
         "b.rs": "use crate::a::A;\npub struct B;"}, None),
}


def circles(files):
    with tempfile.TemporaryDirectory() as top:
        for name, code in files.items():
            file = Path(top, "crates/c/src", name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code)
        ended = subprocess.run([sys.executable, CHECK, top], capture_output=True, text=True)
        return ended.stderr or ended.stdout.strip() or None


failed = False
for name, (files, circle) in CRATES.items():
    found, wanted = circles(files), circle and f"crates/c/src: {circle}"
    if found != wanted:
        failed = True
        print(f"test-check-circles: {name}: found {found}, not {wanted}", file=sys.stderr)
sys.exit(failed)
