"""The fusion's Gauss-Newton steps as loops to be compiled.

The same as in :mod:`unipose_ros.fusion.solve`, where it is said in NumPy, but one person after the other, and only
where equations are not 0. Constants of other modules are arguments.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from unipose_ros.compiled import compiled, compiled_part
from unipose_ros.fusion import equations

FloatArray = NDArray[np.float64]
Arrays = tuple[FloatArray, ...]


#: A joint's weights of network, lifter and ray, strength and pull of its surfaces, squared distances from network,
#: lifter and ray, probability that a surface is its own, and the surfaces' density.
_NETWORK, _LIFTER, _RAY, _STRENGTH, _PULL, _FROM_NETWORK, _FROM_LIFTER, _FROM_RAY, _OWNED, _DENSITY = range(10)


@compiled_part()
def _first_place(start: FloatArray, pose: FloatArray, has_pose: NDArray[np.bool_], x: FloatArray) -> None:
    """Where the lifter's pose is at first: the median of where its joints would have it, else the middle."""
    n = len(start)
    apart = np.zeros(n)
    for a in range(3):
        count, total = 0, 0.0
        for joint in range(n):
            total += start[joint, a]
            if has_pose[joint]:
                value, place = start[joint, a] - pose[joint, a], count
                while place > 0 and apart[place - 1] > value:
                    apart[place] = apart[place - 1]
                    place -= 1
                apart[place] = value
                count += 1
        x[3 * n + a] = apart[(count - 1) // 2] if count else total / n


@compiled_part()
def _weigh_surfaces(
    z: float,
    width: float,
    depths: FloatArray,
    stds: FloatArray,
    costs: FloatArray,
    hidden: float,
    numbers: tuple[float, ...],
    weights: FloatArray,
) -> None:
    """``z = depth`` of the surfaces that a joint may belong to, weighed by how likely each is its own."""
    reach, tolerance, in_front, far = numbers[4], numbers[5], numbers[6], numbers[7]
    own, pull, strength, nearest = 0.0, 0.0, 0.0, math.inf
    for k in range(len(depths)):
        if math.isfinite(costs[k]):
            nearest = min(nearest, depths[k])
            square = (z - depths[k]) / (stds[k] * width)
            density = math.exp(-costs[k] - min(square * square, far) / 2) / (math.sqrt(2 * math.pi) * stds[k] * width)
            weight = density / (stds[k] * stds[k] * width * width)
            own += density
            strength += weight
            pull += weight * depths[k]
    elsewhere = math.exp(-hidden - (in_front if z < nearest - tolerance * width else 0.0)) / reach
    total = own + elsewhere
    weights[_STRENGTH], weights[_PULL] = strength / total, pull / total
    weights[_OWNED], weights[_DENSITY] = own / total, total


@compiled_part()
def _weigh(
    x: FloatArray,
    joint: int,
    about: FloatArray,
    network: FloatArray,
    lifter: FloatArray,
    width: float,
    freedom: float,
    nearest: float,
    weights: FloatArray,
) -> None:
    """Weights of network, lifter and ray for one joint, by how far each is off."""
    at, place, growth = 3 * joint, len(x) - 4, math.exp(x[len(x) - 1])
    x0, x1, x2 = x[at], x[at + 1], x[at + 2]
    weights[_FROM_NETWORK] = equations.squared_distance(network, x0 - about[0], x1 - about[1], x2 - about[2])
    weights[_FROM_LIFTER] = equations.squared_distance(
        lifter,
        x0 - x[place] - growth * about[3],
        x1 - x[place + 1] - growth * about[4],
        x2 - x[place + 2] - growth * about[5],
    )
    # A slope's error in meters grows with the depth.
    scale = about[8] / max(x2, nearest)
    right, down = scale * (x0 - about[6] * x2), scale * (x1 - about[7] * x2)
    weights[_FROM_RAY] = right * right + down * down
    narrow = 1 / (width * width)
    weights[_NETWORK] = narrow * (freedom + 3) / (freedom + weights[_FROM_NETWORK] * narrow)
    weights[_LIFTER] = narrow * (freedom + 3) / (freedom + weights[_FROM_LIFTER] * narrow)
    weights[_RAY] = narrow * (freedom + 2) / (freedom + weights[_FROM_RAY] * narrow) * scale * scale


@compiled_part()
def _add_joint(
    hessian: FloatArray,
    right: FloatArray,
    joint: int,
    about: FloatArray,
    network: FloatArray,
    lifter: FloatArray,
    weights: FloatArray,
    x: FloatArray,
) -> None:
    """What network, lifter, ray and surfaces say about one joint."""
    at, place, size = 3 * joint, len(x) - 4, len(x) - 1
    here, growth = 1 - x[size], math.exp(x[size])
    for a in range(3):
        grown = 0.0
        for b in range(3):
            sure, precise = weights[_NETWORK] * network[a, b], weights[_LIFTER] * lifter[a, b]
            grown += precise * about[3 + b] * growth
            right[at + a] += sure * about[b]
            hessian[at + a, at + b] += sure + precise
            hessian[at + a, place + b] -= precise
            hessian[place + a, place + b] += precise
        # By the place and, to first order, the size, the lifter's joints move.
        onto = grown * about[3 + a] * growth
        hessian[at + a, size] -= grown
        hessian[place + a, size] += grown
        hessian[size, size] += onto
        right[at + a] += here * grown
        right[place + a] -= here * grown
        right[size] -= here * onto
    ray, u, v = weights[_RAY], about[6], about[7]
    hessian[at, at] += ray
    hessian[at + 1, at + 1] += ray
    hessian[at, at + 2] -= ray * u
    hessian[at + 1, at + 2] -= ray * v
    hessian[at + 2, at + 2] += ray * (u * u + v * v) + weights[_STRENGTH]
    right[at + 2] += weights[_PULL]


@compiled_part()
def _measure_bones(
    v: FloatArray,
    rows: FloatArray,
    bones: equations.Indices,
    x: FloatArray,
    freedom: float,
    lengths: FloatArray,
    stds: FloatArray,
) -> None:
    """Each bone's length, and its standard deviation, as they are without the equation of that bone."""
    size = len(x) - 1
    for bone in range(len(bones)):
        start, end = 3 * bones[bone, 0], 3 * bones[bone, 1]
        scale = math.sqrt(rows[bone, 0] * rows[bone, 0] + rows[bone, 1] * rows[bone, 1] + rows[bone, 2] * rows[bone, 2])
        scale = max(scale, 1e-12)
        leverage, gain, variance = 0.0, 0.0, 0.0
        for k in range(size + 1):
            along = 0.0
            for a in range(3):
                along += rows[bone, a] * (v[start + a, k] - v[end + a, k])
            whole = along + rows[bone, 3] * v[size, k]
            leverage += whole * whole
            gain += along / scale * whole
            variance += along / scale * (along / scale)
        leverage = min(leverage, 1 - 1e-9)
        now = 0.0
        for a in range(3):
            now += rows[bone, a] * (x[start + a] - x[end + a])
        off = now + rows[bone, 3] * x[size] - rows[bone, 4]
        variance += gain * gain / (1 - leverage)
        lengths[bone] = now / scale + gain * off / (1 - leverage)
        stds[bone] = math.sqrt(max(variance, 0.0) * (freedom + 2) / freedom)


@compiled_part()
def _cost_of_body(
    x: FloatArray,
    rows: FloatArray,
    bones: equations.Indices,
    identities: FloatArray,
    size: float,
    size_std: float,
    anywhere: float,
) -> float:
    """Half of the squares of what is Gaussian: bones, identities, place and size."""
    last = len(x) - 1
    total = ((x[last] - size) / size_std) ** 2
    for a in range(3):
        total += (x[last - 3 + a] / anywhere) ** 2
    for bone in range(len(bones)):
        off = rows[bone, 3] * x[last] - rows[bone, 4]
        for a in range(3):
            off += rows[bone, a] * (x[3 * bones[bone, 0] + a] - x[3 * bones[bone, 1] + a])
        total += off * off
    for k in range(len(identities)):
        off = 0.0
        for i in range(identities.shape[1]):
            off += identities[k, i] * x[i]
        total += off * off
    return float(0.5 * total)


@compiled_part()
def _weights_of_joints(weights: FloatArray, there: NDArray[np.bool_], freedom: float, heard: FloatArray) -> float:
    """Negative log likelihood of all joints; weights of network and ray, and who owns the surface, to ``heard``."""
    cost = 0.0
    for joint in range(len(weights)):
        own = weights[joint]
        cost -= math.log(own[_DENSITY])
        for source, dimensions, square in ((0, 3, _FROM_NETWORK), (1, 3, _FROM_LIFTER), (2, 2, _FROM_RAY)):
            heard[source, joint] = 0.0
            if there[source, joint]:
                cost += (freedom + dimensions) / 2 * math.log1p(own[square] / freedom)
                heard[source, joint] = (freedom + dimensions) / (freedom + own[square])
        heard[3, joint] = own[_OWNED]
    return cost


@compiled_part()
def _read_sources(
    joints: FloatArray,
    covariances: FloatArray,
    pose: FloatArray,
    pose_covariances: FloatArray,
    slopes: FloatArray,
    slope_stds: FloatArray,
    about: FloatArray,
    precisions: FloatArray,
    there: NDArray[np.bool_],
) -> None:
    """What is known beforehand of one person's joints; 0 where a source says nothing.

    Args:
        about: (15, 9) the network's joint, the lifter's, slopes of the ray and the inverse of their deviation.
        precisions: (2, 15, 3, 3) of network and lifter.
        there: (3, 15) whether network, lifter and ray say something.
    """
    for joint in range(len(joints)):
        there[0, joint] = equations.precision(covariances[joint], precisions[0, joint]) and equations.known(
            joints[joint]
        )
        there[1, joint] = equations.precision(pose_covariances[joint], precisions[1, joint]) and equations.known(
            pose[joint]
        )
        there[2, joint] = equations.known(slopes[joint]) and math.isfinite(slope_stds[joint])
        for source in range(2):
            for a in range(3):
                for b in range(3):
                    precisions[source, joint, a, b] *= there[source, joint]
        for a in range(3):
            about[joint, a] = joints[joint, a] if there[0, joint] else 0.0
            about[joint, 3 + a] = pose[joint, a] if there[1, joint] else 0.0
        for a in range(2):
            about[joint, 6 + a] = slopes[joint, a] if there[2, joint] else 0.0
        about[joint, 8] = 1 / slope_stds[joint] if there[2, joint] else 0.0


def _fuse(
    network: Arrays,
    lifter: Arrays,
    rays: Arrays,
    surfaces: Arrays,
    body: Arrays,
    start: FloatArray,
    bones: equations.Indices,
    identities: FloatArray,
    constant: FloatArray,
    widths: FloatArray,
    numbers: tuple[float, ...],
) -> Arrays:
    """As :func:`unipose_ros.fusion.solve.fuse_by_numpy`, whose constants come after the evidence.

    Returns:
        Attributes of :class:`~unipose_ros.fusion.solve.Fused` in their order up to the standard deviations of the
        lengths, and (N, 4, 15) weights of network, lifter and ray, and who owns the surfaces.
    """
    anywhere, somewhere, nearest, freedom = numbers[0], numbers[1], numbers[2], numbers[3]
    people, n = len(start), start.shape[1]
    place, unknowns = 3 * n, 3 * n + 4
    found, blocks, heard = np.empty((people, n, 3)), np.empty((people, n, 3, 3)), np.empty((people, 4, n))
    costs, sizes = np.empty(people), np.empty(people)
    lengths, length_stds = np.empty((people, len(bones))), np.empty((people, len(bones)))
    hessian, factor = np.empty((unknowns, unknowns)), np.empty((unknowns, unknowns))
    x, right, rows = np.empty(unknowns), np.empty(unknowns), np.empty((len(bones), 5))
    about, precisions, weights = np.empty((n, 9)), np.empty((2, n, 3, 3)), np.empty((n, 10))
    there = np.empty((3, n), np.bool_)
    for person in range(people):
        _read_sources(
            network[0][person], network[1][person], lifter[0][person], lifter[1][person],
            rays[0][person], rays[1][person], about, precisions, there,
        )  # fmt: skip
        for joint in range(n):
            for a in range(3):
                x[3 * joint + a] = start[person, joint, a]
        _first_place(start[person], lifter[0][person], there[1], x)
        size, size_std = body[3][person], body[4][person]
        x[unknowns - 1] = size
        for iteration in range(len(widths) + 1):
            last = iteration == len(widths)
            for i in range(unknowns):
                right[i] = somewhere * start[person, i // 3, i % 3] if i < place else 0.0
                for j in range(unknowns):
                    hessian[i, j] = constant[i, j]
            hessian[unknowns - 1, unknowns - 1] += 1 / (size_std * size_std)
            right[unknowns - 1] += size / (size_std * size_std)
            equations.bone_rows(x, bones, body[0][person], body[1][person], body[2][person], rows)
            equations.add_bones(hessian, right, rows, bones)
            width = 1.0 if last else widths[iteration]
            for joint in range(n):
                own = weights[joint]
                _weigh(x, joint, about[joint], precisions[0, joint], precisions[1, joint], width, freedom, nearest, own)
                _weigh_surfaces(
                    x[3 * joint + 2], width, surfaces[0][person, joint], surfaces[1][person, joint],
                    surfaces[2][person, joint], surfaces[3][person, joint], numbers, own,
                )  # fmt: skip
                if last:
                    # A source that agrees counts as its covariance says, see :meth:`_Problem._reweight`.
                    own[_NETWORK] *= freedom / (freedom + 3)
                    own[_LIFTER] *= freedom / (freedom + 3)
                    own[_RAY] *= freedom / (freedom + 2)
                _add_joint(hessian, right, joint, about[joint], precisions[0, joint], precisions[1, joint], own, x)
            equations.factorize(hessian)
            if not last:
                equations.solve(hessian, right, x)
            if iteration == len(widths) - 1:
                # Before anything is made anew: a solution of these very equations.
                equations.invert(hessian, factor)
                _measure_bones(factor, rows, bones, x, freedom, lengths[person], length_stds[person])
        equations.invert(hessian, factor)
        equations.diagonal_blocks(factor, blocks[person])
        costs[person] = _cost_of_body(x, rows, bones, identities, size, size_std, anywhere)
        costs[person] += _weights_of_joints(weights, there, freedom, heard[person])
        for joint in range(n):
            for a in range(3):
                found[person, joint, a] = x[3 * joint + a]
        sizes[person] = math.exp(x[unknowns - 1])
    return found, blocks, costs, sizes, lengths, length_stds, heard


# Where nothing is compiled, NumPy is called instead.
_VECTORS, _MATRICES, _STACKS = "f8[:,::1]", "f8[:,:,::1]", "f8[:,:,:,::1]"
fuse = compiled(
    _fuse,
    f"Tuple(({_MATRICES},{_STACKS},f8[::1],f8[::1],{_VECTORS},{_VECTORS},{_MATRICES}))"
    f"(Tuple(({_MATRICES},{_STACKS})),Tuple(({_MATRICES},{_STACKS})),Tuple(({_MATRICES},{_VECTORS})),"
    f"Tuple(({_MATRICES},{_MATRICES},{_MATRICES},{_VECTORS})),"
    f"Tuple(({_VECTORS},{_VECTORS},f8[::1],f8[::1],f8[::1])),{_MATRICES},"
    "i8[:,::1],f8[:,::1],f8[:,::1],f8[::1],UniTuple(f8,8))",
)(_fuse)
