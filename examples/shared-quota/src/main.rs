fn main() {
    use provider_stub::Debit;
    use shared_quota::*;
    println!("{:?}", run(&Case::new(Load::Requests, Debit::Maximum, Reserve::Maximum)).unwrap().totals);
}
