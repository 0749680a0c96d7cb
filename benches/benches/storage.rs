//! Group commits: how many stamps a second the rows of a stamp allow, by batch size.

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use sealgate_benches::ceiling::{Plan, sqlite};

fn commits(c: &mut Criterion) {
    let mut group = c.benchmark_group("group commit, SQLite");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for batch in [1, 16, 128, 512] {
        let stamps = 2_048;
        group.throughput(Throughput::Elements(u64::from(stamps)));
        group.bench_with_input(BenchmarkId::from_parameter(batch), &batch, |b, &batch| {
            b.iter(|| {
                let dir = tempfile::tempdir().expect("a folder");
                let plan = Plan {
                    seals: 256,
                    stamps,
                    batch,
                };
                sqlite(dir.path(), plan).expect("written")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, commits);
criterion_main!(benches);
