/work/wt/budget/crates/buttress-token-budget/target/loom/release/deps/pin_project_lite-21b9098391e88b6f.d: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pin-project-lite-0.2.18/src/lib.rs

/work/wt/budget/crates/buttress-token-budget/target/loom/release/deps/libpin_project_lite-21b9098391e88b6f.rlib: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pin-project-lite-0.2.18/src/lib.rs

/work/wt/budget/crates/buttress-token-budget/target/loom/release/deps/libpin_project_lite-21b9098391e88b6f.rmeta: /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pin-project-lite-0.2.18/src/lib.rs

/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/pin-project-lite-0.2.18/src/lib.rs:
