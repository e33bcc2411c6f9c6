from agents.gpu import gpu_reader, mean_by_miner


def test_samples_are_averaged_a_process_and_summed_a_miner() -> None:
    samples = [(1, 10), (1, 30), (2, 5), (3, 40), (99, 100)]
    assert mean_by_miner(samples, {1: "a", 2: "a", 3: "b", 4: "b"}) == {"a": 250_000, "b": 400_000}


def test_no_gpu_is_none_and_a_gpu_reads_shares() -> None:
    read = gpu_reader()
    assert read is None or read({"m1": [1]})["m1"] >= 0
