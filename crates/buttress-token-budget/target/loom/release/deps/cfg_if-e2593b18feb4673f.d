/work/wt/budget/crates/buttress-token-budget/target/loom/release/deps/cfg_if-e2593b18feb4673f.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/cfg-if-1.0.5/src/lib.rs

/work/wt/budget/crates/buttress-token-budget/target/loom/release/deps/libcfg_if-e2593b18feb4673f.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/cfg-if-1.0.5/src/lib.rs

/work/wt/budget/crates/buttress-token-budget/target/loom/release/deps/libcfg_if-e2593b18feb4673f.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/cfg-if-1.0.5/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/cfg-if-1.0.5/src/lib.rs:
