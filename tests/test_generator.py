"""The numbers below were written down from PyTorch 2.13 on x86: each test says what it asked PyTorch for."""
import copy
import hashlib
import pickle
import threading

import ml_dtypes
import numpy as np
import pytest

from rushlight.ir import dtypes
from rushlight.runtime import draws
from rushlight.runtime.generator import Generator
from rushlight.runtime.rejection import poisson


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def drawn(method, *args, seed=0, **kwargs):
    return getattr(Generator(seed), method)(*args, **kwargs).tolist()


# ---- uniform and normal ----

def test_seed_0_gives_the_numbers_everybody_knows():
    assert drawn("uniform", 5) == [0.49625658988952637, 0.7682217955589294, 0.08847743272781372, 0.13203048706054688,
                                   0.30742281675338745]


def test_uniform_between_bounds_rounds_once():
    assert drawn("uniform", 3, -0.1, 0.1) == [-0.0007486820104531944, 0.05364435911178589, -0.08230451494455338]
    assert drawn("uniform", 3, -0.1, 0.1, dtypes.float64) == [0.09401060036131062, 0.04156397287995759, -0.008123411374509826]


def test_uniform_of_a_16_bit_type_is_a_rounded_float32():
    values = Generator(0).uniform(4, dtype=dtypes.bfloat16)
    assert values.dtype == ml_dtypes.bfloat16
    assert values.astype(float).tolist() == [0.49609375, 0.76953125, 0.08837890625, 0.1318359375]


def test_a_uniform_value_that_rounds_up_to_the_end_becomes_the_start():
    values = Generator(0).uniform(10000, dtype=dtypes.bfloat16).astype(float)
    assert values.max() < 1 and (values == 0).sum() > 5


def test_few_normal_values_are_made_in_pairs():
    assert drawn("normal", 4) == [1.5409960746765137, -0.293428897857666, -2.1787893772125244, 0.5684312582015991]


def test_the_second_of_a_pair_is_kept_for_the_next_call():
    generator = Generator(0)
    parts = [generator.normal(1), generator.normal(0), generator.normal(2), generator.normal(1)]
    assert np.concatenate(parts).tolist() == drawn("normal", 4)


def test_16_normal_values_are_made_in_a_block():
    assert drawn("normal", 16) == [
        -1.1258398294448853, -1.152360200881958, -0.2505785822868347, -0.4338788092136383, 0.8487103581428528, 0.6920091509819031,
        -0.31601276993751526, -2.1152193546295166, 0.32227492332458496, -1.2633347511291504, 0.34998318552970886,
        0.30813392996788025, 0.11984150856733322, 1.237657904624939, 1.1167771816253662, -0.2472781538963318]
    assert drawn("normal", 16, dtype=dtypes.float64)[:3] == [-2.310411800234176, -0.3732508612577643, -1.0608166785462863]


def test_a_block_that_is_not_full_is_the_last_16_made_again():
    assert drawn("normal", 17)[-2:] == [-0.843676745891571, 0.9318265914916992]


def test_float16_makes_the_last_16_again_without_drawing_for_the_rest():
    assert drawn("normal", 17, dtype=dtypes.float16) == [
        -1.1259765625, -1.3525390625, -1.6962890625, 0.56689453125, 0.79345703125, 0.5986328125, -1.5546875, -0.34130859375,
        1.8525390625, 0.75, -0.58544921875, -0.17333984375, 0.1834716796875, 1.3896484375, 1.5859375, 0.9462890625, -0.84375]


def test_normal_values_for_strided_memory_are_made_one_by_one():
    assert drawn("normal", 17, contiguous=False)[-3:] == [-1.0711873769760132, 0.1227012425661087, -0.5663174986839294]


def test_many_values_are_the_same_to_the_last_bit():
    assert digest(Generator(42).uniform(10007)) == "768bb6bb78001c02"
    assert digest(Generator(42).normal(10007)) == "36af95b482bee207"
    assert digest(Generator(42).normal(1003, dtype=dtypes.float64)) == "2ff9adef9250990f"
    assert digest(Generator(42).randperm(10007)) == "017496ebc28c3fac"
    assert digest(Generator(42).random_(1003, -5, 2 ** 40)) == "557b05756d704482"


def test_a_complex_value_is_two_real_ones():
    assert Generator(0).uniform(3, dtype=dtypes.complex64).view(np.float32).tolist() == drawn("uniform", 6)
    normals = Generator(0).normal(9, dtype=dtypes.complex64)
    assert normals.dtype == np.complex64 and np.allclose(normals.view(np.float32) * 2 ** 0.5, drawn("normal", 18))


def test_multiply_add_does_not_round_the_product():
    assert draws.multiply_add(np.array([1 + 2.0 ** -30]), 1 + 2.0 ** -30, -1.0).tolist() == [2.0 ** -29 + 2.0 ** -60]


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 17])
def test_loops_in_lanes_reach_every_element_and_no_other(n):
    values = np.arange(20.0)
    draws._multiply_add(values[:n], n, 2.0, 1.0)
    assert values.tolist() == [2 * x + 1 if x < n else x for x in range(20)]


def test_the_stream_does_not_depend_on_how_it_is_cut():
    whole = Generator(5)._bits32(3000).tolist()
    assert whole == np.random.RandomState(5).randint(0, 1 << 32, 3000, np.uint32).tolist()
    for cuts in ([1] * 30, [623, 1, 1], [624, 624], [625, 0, 1247], [2999, 1]):
        generator = Generator(5)
        assert np.concatenate([generator._bits32(n) for n in cuts]).tolist() == whole[:sum(cuts)]


# ---- integers ----

def test_integers_take_64_bits_from_a_range_of_2_to_the_28_on():
    assert drawn("random_", 8, 0, 10) == [4, 9, 3, 0, 3, 9, 7, 3]
    assert drawn("random_", 3, 0, 2 ** 28 - 1) == [209652404, 130329144, 118924928]
    assert drawn("random_", 3, 0, 2 ** 28) == [130329135, 136432832, 195187451]


def test_integers_without_bounds_fill_their_type():
    assert drawn("random_", 5, dtype=dtypes.int8) == [44, 47, 117, 64, 67]
    assert drawn("random_", 2, dtype=dtypes.int64) == [900450186894289455, 3969543146641149120]
    assert Generator(0).random_(4096, dtype=dtypes.float16).max() <= 2048


def test_bounds_of_a_floating_type_move_inwards_to_what_it_holds():
    values = Generator(0).random_(5000, 0, 65504, dtypes.float16)
    assert values.max() < 65504


def test_a_permutation():
    assert drawn("randperm", 10) == [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]
    assert drawn("randperm", 0) == [] and drawn("randperm", 1) == [0]
    assert Generator(0).randperm(10, dtypes.int32).dtype == np.int32


def test_a_huge_permutation_is_built_from_the_inside_out():
    order = Generator(0)._huge_permutation(1000)
    words = [int(w) for w in Generator(0)._bits64(1000)]
    expected = []
    for i, word in enumerate(words):
        place = word % (i + 1)
        expected.append(i)
        expected[i], expected[place] = expected[place], i
    assert order.tolist() == expected and sorted(expected) == list(range(1000))


# ---- the other distributions ----

def test_bernoulli_draws_64_bits_for_a_number_and_32_for_an_array():
    assert drawn("bernoulli", 8, 0.5) == [0, 0, 1, 0, 0, 0, 1, 1]
    assert drawn("bernoulli", 8, np.full(8, 0.5, np.float32)) == [1, 0, 1, 1, 1, 0, 1, 0]


def test_continuous_distributions():
    assert drawn("exponential", 3, 2.0) == [1.754163146018982, 0.6151923537254333, 0.3075220584869385]
    assert drawn("cauchy", 3) == [10.597729682922363, 0.7647672891616821, -0.12829934060573578]
    assert drawn("log_normal", 3) == [59.2634162902832, 1.5115599632263184, 0.03481946140527725]


def test_discrete_distributions():
    assert drawn("geometric", 5, 0.3) == [1, 1, 3, 1, 2]
    assert drawn("poisson", np.array([0.5, 3, 20, 100], np.float32)) == [2, 4, 21, 99]
    assert drawn("gamma", np.array([0.5, 2, 0, 30], np.float32)) == [
        0.0007893581641837955, 0.6315405964851379, 1.1754943508222875e-38, 30.548818588256836]
    trials, odds = np.array([5, 50, 100, 30], np.float32), np.array([0.3, 0.5, 0.9, 0.1], np.float32)
    assert drawn("binomial", trials, odds) == [3, 27, 93, 3]


def test_multinomial_with_and_without_replacement():
    weights = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    assert drawn("multinomial", weights, 6, True) == [3, 3, 2, 3, 3, 3]
    assert drawn("multinomial", weights, 4) == [2, 1, 3, 0]
    assert Generator(0).multinomial(np.stack([weights, weights]), 3, True).shape == (2, 3)


def test_draws_that_were_made_ahead_and_not_read_go_back():
    one_by_one, together = Generator(3), Generator(3)
    rates = np.array([0.5, 700.0] * 200)
    singly = [float(one_by_one.poisson(rate)[0]) for rate in rates.reshape(-1, 1)]
    assert together.poisson(rates).tolist() == singly
    assert together.get_state().tolist() == one_by_one.get_state().tolist()


def test_poisson_takes_no_draw_for_a_rate_of_zero():
    assert poisson(0.0, iter(())) == 0


@pytest.mark.parametrize("call, message", [
    (lambda g: g.uniform(3, 5, 2), "uniform_ expects to return a [from, to) range, but found from=5 > to=2"),
    (lambda g: g.normal(3, 0, -1), "normal expects std >= 0.0, but found std -1"),
    (lambda g: g.random_(3, 5, 2), "random_ expects 'from' to be less than 'to', but got from=5 >= to=2"),
    (lambda g: g.random_(3, 0, 1000, dtypes.int8), "random_: to - 1 is out of bounds for int8"),
    (lambda g: g.randperm(-1), "randperm: n is -1, but a permutation has at least 0 elements"),
    (lambda g: g.randperm(300, dtypes.uint8), "randperm: 300 cannot be held by uint8 without overflow"),
    (lambda g: g.bernoulli(3, 2.0), "bernoulli_ expects p to be in [0, 1], but got p=2.0"),
    (lambda g: g.exponential(3, -1.0), "exponential_ expects lambda > 0.0, but found lambda=-1.0"),
    (lambda g: g.geometric(3, 2.0), "geometric_ expects p to be in (0, 1), but got p=2.0"),
    (lambda g: g.multinomial(np.array([-1.0, 2.0]), 1), "probability tensor contains either `inf`, `nan` or element < 0"),
    (lambda g: g.multinomial(np.zeros(2), 1), "invalid multinomial distribution (sum of probabilities <= 0)"),
    (lambda g: g.poisson(np.array([-1.0])), "poisson: invalid Poisson rate -1.0, expected rate to be non-negative"),
    (lambda g: g.set_state(np.zeros(10, np.uint8)), "set_state: a state has 5056 bytes, but this one has 10"),
    (lambda g: g.set_state(np.zeros(5056, np.uint8)), "set_state: Invalid mt19937 state"),
])
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(RuntimeError) as error:
        call(Generator(0))
    assert str(error.value) == message


# ---- the state ----

def test_only_32_bits_of_a_seed_count_but_all_are_remembered():
    assert drawn("uniform", 1, seed=-1) == [0.9937993884086609]
    assert drawn("uniform", 2, seed=2 ** 40 + 7) == [0.5349225401878357, 0.19880318641662598]
    assert Generator(-1).initial_seed() == 2 ** 64 - 1 and Generator(2 ** 40 + 7).initial_seed() == 2 ** 40 + 7
    assert Generator().initial_seed() == 67280421310721
    for seed in (2 ** 64, -2 ** 63 - 1):
        with pytest.raises(ValueError, match="Overflow when unpacking long long"):
            Generator(seed)
    with pytest.raises(RuntimeError, match="manual_seed expected a long, but got float"):
        Generator(0).manual_seed(1.5)


def test_the_state_is_laid_out_as_pytorch_does():
    generator = Generator(42)
    generator.normal(3)
    assert digest(generator.get_state()) == "465eb69e777fa921"
    assert digest(Generator(7).get_state()) == "daf9268b18e87b02"


def test_a_used_up_block_is_told_from_a_new_seed():
    generator = Generator(0)
    assert generator.get_state()[16:18].tolist() == [0, 0]
    generator.uniform(624)
    assert generator.get_state()[16:18].tolist() == [0x70, 0x02]


def test_a_state_that_is_set_goes_on_where_it_was_taken():
    generator = Generator(1)
    generator.normal(3)
    copies = [Generator(0).set_state(generator.get_state()), generator.clone_state(), copy.deepcopy(generator),
              pickle.loads(pickle.dumps(generator))]
    expected = np.concatenate([generator.normal(2), generator.uniform(1000)]).tolist()
    for other in copies:
        assert np.concatenate([other.normal(2), other.uniform(1000)]).tolist() == expected


def test_seed_is_unforeseen_and_remembered():
    generator = Generator(0)
    assert generator.seed() == generator.initial_seed() != Generator(0).seed()


def test_threads_share_a_stream_without_tearing_a_call():
    generator, rows = Generator(0), []
    threads = [threading.Thread(target=lambda: rows.extend(generator.random_(32, 0, 1000).tolist() for _ in range(50)))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = np.reshape(drawn("random_", 32 * 200, 0, 1000), (200, 32)).tolist()
    assert sorted(rows) == sorted(expected)
