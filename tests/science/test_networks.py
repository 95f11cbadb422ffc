"""Every layer against torch's own, member by member: a member that leaned on another would be no independent seed."""

import pytest
import torch
from torch.nn import functional

from vae_lib import networks

MEMBERS = 3


def generators(seed=0, members=MEMBERS):
    return [torch.Generator().manual_seed(seed + member) for member in range(members)]


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def initialised(network, seed=0):
    networks.initialise(network, generators(seed))
    return network


# Layers


def test_an_affine_layer_equals_torchs_own_for_each_member():
    layer, x = initialised(networks.EnsembleLinear(MEMBERS, 7, 5)), draw(MEMBERS, 4, 7)
    for member in range(MEMBERS):
        expected = functional.linear(x[member], layer.weight[member].T, layer.bias[member, 0])
        torch.testing.assert_close(layer(x)[member], expected)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_convolution_equals_torchs_own_for_each_member(transposed):
    layer = initialised(networks.EnsembleConv(MEMBERS, 2, 5, transposed=transposed))
    x = draw(MEMBERS, 4, 2, 6, 8)
    kind = torch.nn.ConvTranspose2d if transposed else torch.nn.Conv2d
    for member in range(MEMBERS):
        own = kind(2, 5, kernel_size=4, stride=2, padding=1)
        own.load_state_dict({"weight": layer.weight[member], "bias": layer.bias[member]})
        torch.testing.assert_close(layer(x)[member], own(x[member]))
    assert layer(x).shape == (MEMBERS, 4, 5, *((12, 16) if transposed else (3, 4)))


@pytest.mark.parametrize(
    ("build", "own"),
    [
        (lambda: networks.EnsembleLinear(MEMBERS, 50, 80), torch.nn.Linear(50, 80)),
        (lambda: networks.EnsembleConv(MEMBERS, 4, 30), torch.nn.Conv2d(4, 30, 4)),
    ],
)
def test_weights_and_biases_start_from_the_range_that_torch_starts_from(build, own):
    layer = initialised(build())
    for name in ("weight", "bias"):
        found, expected = getattr(layer, name), getattr(own, name)
        assert found.abs().max().item() == pytest.approx(expected.abs().max().item(), rel=0.1)
        assert found.std().item() == pytest.approx(expected.std().item(), rel=0.25)


def test_a_doubling_convolution_starts_as_loud_as_its_input():
    # A pixel is reached by a quarter of the kernel: counted in full, images would fade from layer to layer.
    layer = initialised(networks.EnsembleConv(MEMBERS, 16, 16, transposed=True))
    with torch.no_grad():
        out = layer(draw(MEMBERS, 4, 16, 16, 16))
    assert out.var().item() == pytest.approx(1 / 3, rel=0.2)  # U(−a, a) with a² = 1 / fan_in has a variance of a² / 3


@pytest.mark.parametrize(
    "build",
    [
        lambda members: networks.EnsembleLinear(members, 5, 4),
        lambda members: networks.EnsembleConv(members, 2, 3),
        lambda members: networks.MLP(members, [5, 4, 3], context=2),
        lambda members: networks.Convolutions(members, (6, 7), [2, 3], [4]),
        lambda members: networks.TransposedConvolutions(members, 5, (6, 7), [2, 3]),
    ],
)
def test_a_members_weights_do_not_depend_on_its_company(build):
    company, alone = build(MEMBERS), build(1)
    networks.initialise(company, generators())
    networks.initialise(alone, generators()[2:])
    for one, other in zip(alone.parameters(), company.parameters(), strict=True):
        assert torch.equal(one[0], other[2])
        assert not torch.equal(other[0], other[1])


# Dropout


def test_a_mask_keeps_the_share_asked_for_and_is_each_members_own():
    keep = networks.keep_mask(generators(), 200, 101, dropout=0.3)
    assert keep.shape == (MEMBERS, 200, 101)
    assert set(keep.unique().tolist()) == {0.0, 1.0}
    assert (keep == 0).float().mean(dim=(1, 2)).tolist() == pytest.approx([0.3] * MEMBERS, abs=0.01)
    assert (keep == 0).float().mean(dim=(0, 1)).max().item() < 0.45  # no unit is always dropped
    assert not torch.equal(keep[0], keep[1])
    assert torch.equal(networks.keep_mask(generators()[1:2], 200, 101, dropout=0.3)[0], keep[1])


def test_normal_draws_are_each_members_own():
    noise = networks.normal(generators(), 5, 2)
    assert torch.equal(networks.normal(generators()[2:], 5, 2)[0], noise[2])
    assert not torch.equal(noise[0], noise[1])


def test_rectified_dropout_passes_on_the_gradient_that_autograd_gives():
    x, keep = draw(2, 4, 5).double(), networks.keep_mask(generators(members=2), 4, 5, dropout=0.4).double()
    weights = draw(2, 4, 5, seed=1).double()
    plain, fast = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = torch.relu(plain) * keep * 2.5
    out = networks.RectifiedDropout.apply(fast * 1.0, keep, 2.5)  # times one: it overwrites its input
    torch.testing.assert_close(out, expected)
    (expected * weights).sum().backward()
    (out * weights).sum().backward()
    torch.testing.assert_close(fast.grad, plain.grad)


def test_a_perceptron_with_dropout_has_the_gradient_of_one_written_out():
    body = initialised(networks.MLP(MEMBERS, [6, 5, 4], dropout=0.5))
    x = draw(MEMBERS, 8, 6)
    body(x, generators(3)).square().sum().backward()
    fast = [parameter.grad.clone() for parameter in body.parameters()]
    body.zero_grad()
    drawn, hidden = generators(3), x
    for layer in body.layers:
        hidden = torch.relu(layer(hidden))
        hidden = hidden * networks.keep_mask(drawn, *hidden.shape[1:], dropout=0.5) / 0.5
    hidden.square().sum().backward()
    for found, parameter in zip(fast, body.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad)


def test_dropout_drops_the_share_asked_for_and_keeps_the_mean():
    body = networks.MLP(1, [1, 4000], dropout=0.25)
    with torch.no_grad():
        body.layers[0].weight.fill_(0.0)
        body.layers[0].bias.fill_(1.0)
    out = body(torch.zeros(1, 5, 1), [torch.Generator().manual_seed(0)])
    assert (out == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert out.mean().item() == pytest.approx(1.0, abs=0.03)


def test_nothing_is_dropped_without_generators_and_the_input_is_left_as_it_was():
    body, x = initialised(networks.MLP(MEMBERS, [6, 5], dropout=0.9)), draw(MEMBERS, 8, 6)
    before = x.clone()
    torch.testing.assert_close(body(x), torch.relu(body.layers[0](x)))
    body(x, generators())
    assert torch.equal(x, before)


# Bodies


def test_a_context_is_appended_to_the_input():
    body = initialised(networks.MLP(MEMBERS, [4, 5, 3], context=2))
    x, context = draw(MEMBERS, 6, 4), draw(MEMBERS, 6, 2, seed=1)
    expected = torch.cat([x, context], dim=2)
    for layer in body.layers:
        expected = torch.relu(layer(expected))
    torch.testing.assert_close(body(x, context=context), expected)
    assert not torch.allclose(body(x, context=-context), expected)


def test_a_body_without_layers_is_the_identity():
    body = networks.MLP(MEMBERS, [4], context=2)
    x, context = draw(MEMBERS, 6, 4), draw(MEMBERS, 6, 2, seed=1)
    assert torch.equal(body(x, context=context), torch.cat([x, context], dim=2))
    assert body.width == 6


@pytest.mark.parametrize("image", [(8, 8), (7, 9), (1, 1), (5, 16), (13, 2)])
@pytest.mark.parametrize("channels", [[2], [2, 3, 4]])
def test_images_of_any_size_come_back_in_exactly_that_size(image, channels):
    inward = initialised(networks.Convolutions(MEMBERS, image, channels, [6]))
    outward = initialised(networks.TransposedConvolutions(MEMBERS, 6, image, channels))
    out = outward(inward(draw(MEMBERS, 3, *image)))
    assert out.shape == (MEMBERS, 3, *image)
    assert outward.shape == image


def test_every_pixel_counts_and_every_pixel_is_made():
    # An image of odd size is extended, not cropped: a last frame that is cut off would be lost on the way in.
    image = (5, 7)
    inward = initialised(networks.Convolutions(MEMBERS, image, [2, 3], [6]))
    x = draw(MEMBERS, 4, *image).requires_grad_()
    inward(x).sum().backward()
    assert x.grad.abs().sum(dim=(0, 1)).all()
    outward = initialised(networks.TransposedConvolutions(MEMBERS, 6, image, [2, 3]))
    assert outward(draw(MEMBERS, 50, 6)).std(dim=1).amax(dim=0).all()


@pytest.mark.parametrize(("times", "expected"), [(0, (5, 8)), (1, (3, 4)), (2, (2, 2)), (5, (1, 1))])
def test_halving_rounds_up(times, expected):
    assert networks.halved((5, 8), times) == expected


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (networks.MLP(MEMBERS, [4, 5], dropout=0.5), (4,)),
        (networks.Convolutions(MEMBERS, (6, 5), [2, 3], [4], dropout=0.5), (6, 5)),
        (networks.TransposedConvolutions(MEMBERS, 4, (6, 5), [2, 3]), (4,)),
    ],
)
def test_members_never_mix(body, shape):
    x = draw(MEMBERS, 6, *shape)
    changed = x.clone()
    changed[1] += 1.0
    before, after = initialised(body)(x), body(changed)
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])


def test_an_encoder_gives_a_point_only_where_it_is_asked_to():
    point = networks.Encoder(MEMBERS, networks.MLP(MEMBERS, [4, 5]), 2, point=True)
    spread = networks.Encoder(MEMBERS, networks.MLP(MEMBERS, [4, 5]), 2)
    assert initialised(point)(draw(MEMBERS, 3, 4)).log_var is None
    mean, log_var = initialised(spread)(draw(MEMBERS, 3, 4))
    assert mean.shape == log_var.shape == (MEMBERS, 3, 2)
    assert not torch.equal(mean, log_var)
