//! The wire: encoding and decoding what is on the hot path, the log chain, signatures.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::SigningKey;
use sealgate_benches::prepared::Seal;
use sealgate_codec::{DeviceId, Frame, Message, chain::Head, cose::Dalek, statement::Checkpoint};

fn messages(c: &mut Criterion) {
    let seal = Seal::without_tls(DeviceId::new([1; 8]), SigningKey::from_bytes(&[2; 32]));
    let samples = [
        ("hello", seal.hello(1)),
        ("stamps of 1", seal.stamps(1, 1).remove(0)),
        ("stamps of 28", seal.stamps(28, 28).remove(0)),
    ];
    let mut group = c.benchmark_group("message");
    for (name, bytes) in &samples {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("decode {name}"), |b| {
            b.iter(|| Frame::decode(black_box(bytes)).expect("valid"));
        });
        let frame = Frame::decode(bytes).expect("valid");
        group.bench_function(format!("encode {name}"), |b| {
            b.iter(|| black_box(&frame).encode())
        });
    }
    let deep = vec![0x81; 4096];
    group.bench_function("refuse nesting", |b| {
        b.iter(|| Frame::decode(black_box(&deep)).expect_err("refused"));
    });
    group.finish();
}

fn chain(c: &mut Criterion) {
    let seal = Seal::without_tls(DeviceId::new([1; 8]), SigningKey::from_bytes(&[2; 32]));
    let batch = seal.stamps(28, 28).remove(0);
    let Message::Stamps(stamps) = Frame::decode(&batch).expect("valid").message else {
        panic!("STAMPS");
    };
    let mut group = c.benchmark_group("chain");
    group.throughput(Throughput::Elements(28));
    group.bench_function("extend by 28", |b| {
        b.iter(|| {
            stamps
                .records
                .iter()
                .fold(Head::genesis(seal.id, 0), |head, entry| {
                    head.extend(&entry.bytes)
                })
        });
    });
    group.finish();
}

fn signatures(c: &mut Criterion) {
    let key = SigningKey::from_bytes(&[2; 32]);
    let dev = DeviceId::new([1; 8]);
    let checkpoint = Checkpoint {
        dev,
        epoch: 0,
        next: 29,
        head: Head::genesis(dev, 0),
        boot: 1,
        up: 100,
    };
    let signed = checkpoint.sign(&key);
    let public = key.verifying_key().to_bytes();
    let mut group = c.benchmark_group("checkpoint");
    group.bench_function("sign", |b| b.iter(|| black_box(&checkpoint).sign(&key)));
    group.bench_function("verify", |b| {
        b.iter_batched(
            || Checkpoint::parse(&signed).expect("valid").1,
            |sign1| sign1.verify(sealgate_codec::cose::Purpose::Checkpoint, &public, &Dalek),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, messages, chain, signatures);
criterion_main!(benches);
