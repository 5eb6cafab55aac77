"""torch.distributed: a group of processes that has one member, this one.

    dist.init_process_group("gloo", rank=0, world_size=1)         or as torchrun sets RANK and WORLD_SIZE for one process
    dist.all_reduce(t)                                            t is the sum over all processes already

`is_available()` is False, so that programs which ask take their way for one process.  Those that do not ask, run: every collective has its
meaning for one process.  More than one is an error.  https://docs.pytorch.org/docs/stable/distributed.html
"""
import copy
import os
from datetime import timedelta
from enum import Enum

from .._paths import open_below

default_pg_timeout = timedelta(minutes=30)


class ReduceOp(Enum):
    """How the tensors of all processes become one.  Of one process, each of these gives the tensor itself."""

    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR, PREMUL_SUM = range(9)


ReduceOp.RedOpType = reduce_op = ReduceOp  # PyTorch's other names for it


class Backend(str):
    """The name of a way to communicate; with one process, all are the same."""

    UNDEFINED, GLOO, NCCL, UCC, MPI, XCCL = "undefined", "gloo", "nccl", "ucc", "mpi", "xccl"
    default_device_backend_map = {"cpu": "gloo", "cuda": "nccl"}
    backend_list = ["undefined", "gloo", "nccl", "xccl", "ucc", "mpi"]

    def __new__(cls, name):
        return super().__new__(cls, name.lower())


class Work:
    """What a collective returns with `async_op`: it is done."""

    def __init__(self, result=()):
        self._result = result

    def is_completed(self):
        """Whether it is done: yes."""
        return True

    is_success = is_completed

    def wait(self, timeout=None):
        """Nothing has to be waited for."""
        return True

    def result(self):
        """The tensors it made."""
        return self._result


class ProcessGroup:
    """Some of the processes: this one."""

    def __init__(self, backend="gloo"):
        self.backend = backend

    def rank(self):
        """Which of them this process is: 0."""
        return 0

    def size(self):
        """How many there are: 1."""
        return 1

    def name(self):
        """What they communicate with."""
        return self.backend


class GroupMember:
    """The default group, and what stands for a group that this process is not in."""

    WORLD, NON_GROUP_MEMBER = None, -100


group = GroupMember


class DistBackendError(RuntimeError):
    """What communication raises where it fails."""


class DistError(RuntimeError):
    """What torch.distributed raises."""


_pg_map: dict = {}


def is_available():
    """Whether several processes can work together: no."""
    return False


def is_gloo_available():
    """Whether this way to communicate is there: no."""
    return False


is_nccl_available = is_mpi_available = is_ucc_available = is_xccl_available = is_torchelastic_launched = is_gloo_available


def is_backend_available(backend):
    """Whether a way to communicate is there: no."""
    return False


def is_initialized():
    """Whether `init_process_group` was called."""
    return GroupMember.WORLD is not None


def init_process_group(backend=None, init_method=None, timeout=None, world_size=-1, rank=-1, store=None, group_name="", pg_options=None,
                       device_id=None):
    """Make the default group, of this process.

    `world_size` and `rank` are taken from the environment (WORLD_SIZE, RANK) where they are not given.
    Raises: RuntimeError for more than one process; ValueError when there is a group, or neither argument nor environment say how many.
    """
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    if world_size < 0:
        if "WORLD_SIZE" not in os.environ:
            raise ValueError("Error initializing torch.distributed using env:// rendezvous: environment variable WORLD_SIZE expected, "
                             "but not set")
        world_size, rank = int(os.environ["WORLD_SIZE"]), int(os.environ.get("RANK", 0))
    if world_size != 1 or rank > 0:
        raise RuntimeError(f"init_process_group: {world_size} processes were asked for; Rushlight runs one")
    GroupMember.WORLD = ProcessGroup(Backend(backend or "gloo"))


def destroy_process_group(group=None):
    """Forget the default group."""
    if group is None or group is GroupMember.WORLD:
        GroupMember.WORLD = None


def _get_default_group():
    if not is_initialized():
        raise ValueError("Default process group has not been initialized, please make sure to call init_process_group.")
    return GroupMember.WORLD


def get_rank(group=None):
    """Which process this is: 0.  ValueError without a group."""
    return (group or _get_default_group()).rank()


def get_world_size(group=None):
    """How many processes there are: 1.  ValueError without a group."""
    return (group or _get_default_group()).size()


def get_node_local_rank(fallback_rank=None):
    """Which of the processes on this machine this is."""
    return int(os.environ.get("LOCAL_RANK", fallback_rank or 0))


def get_backend(group=None):
    """The name that `init_process_group` was given."""
    return (group or _get_default_group()).name()


def get_process_group_ranks(group):
    """The processes of a group: [0]."""
    return [0]


def get_global_rank(group, group_rank):
    """The number among all processes of one of a group."""
    return group_rank


get_group_rank = get_global_rank


def new_group(ranks=None, timeout=None, backend=None, pg_options=None, **_):
    """A group of some of the processes."""
    if ranks is not None and list(ranks) not in ([0], []):
        raise ValueError(f"new_group: the ranks {list(ranks)} are not all among the one process there is")
    _get_default_group()
    return GroupMember.NON_GROUP_MEMBER if ranks is not None and not list(ranks) else ProcessGroup()


def _done(result, async_op):
    return Work(result) if async_op else None


def _checked(who, group):
    _get_default_group()
    if who:
        raise ValueError(f"torch.distributed: rank {who} does not exist in a group of one process")


def barrier(group=None, async_op=False, device_ids=None):
    """Wait for all processes: no time."""
    _get_default_group()
    return _done((), async_op)


monitored_barrier = barrier


def all_reduce(tensor, op=ReduceOp.SUM, group=None, async_op=False):
    """`tensor` becomes the sum (or another `op`) over all processes: it is that already."""
    _get_default_group()
    return _done([tensor], async_op)


def broadcast(tensor, src=None, group=None, async_op=False, group_src=None):
    """`tensor` becomes that of process `src`."""
    _checked(src or group_src, group)
    return _done([tensor], async_op)


def reduce(tensor, dst=None, op=ReduceOp.SUM, group=None, async_op=False, group_dst=None):
    """`tensor` of process `dst` becomes the sum over all processes."""
    _checked(dst or group_dst, group)
    return _done([tensor], async_op)


def _copy(to, tensors, async_op):
    for target, tensor in zip(to, tensors, strict=True):
        target.copy_(tensor)
    return _done(to, async_op)


def all_gather(tensor_list, tensor, group=None, async_op=False):
    """The tensors of all processes, written into those of `tensor_list`."""
    _get_default_group()
    return _copy(tensor_list, [tensor], async_op)


def gather(tensor, gather_list=None, dst=None, group=None, async_op=False, group_dst=None):
    """The tensors of all processes, written into `gather_list` of process `dst`."""
    _checked(dst or group_dst, group)
    return _copy(gather_list, [tensor], async_op)


def scatter(tensor, scatter_list=None, src=None, group=None, async_op=False, group_src=None):
    """`tensor` becomes this process's of the tensors in `scatter_list` of process `src`."""
    _checked(src or group_src, group)
    return _copy([tensor], scatter_list, async_op)


def reduce_scatter(output, input_list, op=ReduceOp.SUM, group=None, async_op=False):
    """`output` becomes the sum over all processes of their tensor for this one."""
    _get_default_group()
    return _copy([output], input_list, async_op)


def all_to_all(output_tensor_list, input_tensor_list, group=None, async_op=False):
    """Every process sends a tensor to each."""
    _get_default_group()
    return _copy(output_tensor_list, input_tensor_list, async_op)


def all_gather_into_tensor(output_tensor, input_tensor, group=None, async_op=False):
    """The tensors of all processes side by side in one."""
    _get_default_group()
    return _copy([output_tensor.view(input_tensor.shape)], [input_tensor], async_op)


def all_to_all_single(output, input, output_split_sizes=None, input_split_sizes=None, group=None, async_op=False):
    """Every process sends a part of a tensor to each."""
    _get_default_group()
    return _copy([output], [input], async_op)


reduce_scatter_tensor = all_gather_single = all_to_all_single


def all_gather_object(object_list, obj, group=None):
    """The objects of all processes, in `object_list`."""
    _get_default_group()
    object_list[0] = copy.deepcopy(obj)


def gather_object(obj, object_gather_list=None, dst=None, group=None, group_dst=None):
    """The objects of all processes, in `object_gather_list` of process `dst`."""
    _checked(dst or group_dst, group)
    all_gather_object(object_gather_list, obj)


def broadcast_object_list(object_list, src=None, group=None, device=None, group_src=None):
    """`object_list` becomes that of process `src`."""
    _checked(src or group_src, group)


def scatter_object_list(scatter_object_output_list, scatter_object_input_list=None, src=None, group=None, group_src=None):
    """This process's of the objects of process `src`."""
    _checked(src or group_src, group)
    scatter_object_output_list[0] = scatter_object_input_list[0]


def _nobody(*_, **__):
    raise RuntimeError("torch.distributed: there is no other process to send to or to receive from")


send = recv = isend = irecv = send_object_list = recv_object_list = batch_isend_irecv = _nobody


class Store:
    """Words that processes leave for each other.  Of one process, a dictionary would do."""

    def __init__(self, *_, **__):
        _nobody()


class FileStore(Store):
    """In a file."""


class TCPStore(Store):
    """Over the network."""


class P2POp:
    """One sending or receiving of a batch."""

    def __init__(self, op, tensor, peer=None, group=None, tag=0, group_peer=None):
        _nobody()


__getattr__ = open_below(__name__)
