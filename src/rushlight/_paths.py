"""PyTorch's paths: one table that says what stands behind a path such as `torch.storage` that is no file of ours.

    torch.nn.modules.conv       GATHERED   made of what nn/conv.py and nn/lazy.py define
    torch.distributed.fsdp      ABSENT     has PyTorch's names, so that libraries can be imported and can ask isinstance(...);
                                           whoever calls one is told why it is not there

Nothing is made before somebody imports the path or asks its parent for it.  Start with `GATHERED`, then `_Finder`; a module of ours
below which the table has paths says `__getattr__ = open_below(__name__)`.
"""
import importlib
import importlib.machinery
import sys

_LAYERS = """activation adaptive attention batchnorm containers conv distance dropout lazy linear loss module normalization padding
    parallel pooling recurrent sparse vision"""

_DISTRIBUTIONS = """bernoulli=Bernoulli beta=Beta binomial=Binomial categorical=Categorical cauchy=Cauchy chi2=Chi2
    continuous_bernoulli=ContinuousBernoulli dirichlet=Dirichlet distribution=Distribution exp_family=ExponentialFamily
    exponential=Exponential fishersnedecor=FisherSnedecor generalized_pareto=GeneralizedPareto geometric=Geometric gumbel=Gumbel
    half_cauchy=HalfCauchy half_normal=HalfNormal independent=Independent inverse_gamma=InverseGamma kumaraswamy=Kumaraswamy laplace=Laplace
    lkj_cholesky=LKJCholesky log_normal=LogNormal logistic_normal=LogisticNormal mixture_same_family=MixtureSameFamily
    multinomial=Multinomial negative_binomial=NegativeBinomial normal=Normal
    one_hot_categorical=OneHotCategorical,OneHotCategoricalStraightThrough pareto=Pareto poisson=Poisson studentT=StudentT
    transformed_distribution=TransformedDistribution uniform=Uniform von_mises=VonMises weibull=Weibull wishart=Wishart"""

# A path: the files it is made of.  A file alone gives all that it defines, "file:name,name" only these, "file:name=ours" under another name.
GATHERED = {
    "nn.modules": " ".join("nn." + file for file in _LAYERS.split()) + " nn.hooks",
    "nn.modules.activation": "nn.activation nn.attention:MultiheadAttention",
    "nn.modules.adaptive": "nn.adaptive",
    "nn.modules.batchnorm": "nn.batchnorm nn.lazy",
    "nn.modules.channelshuffle": "nn.vision:ChannelShuffle",
    "nn.modules.container": "nn.containers",
    "nn.modules.conv": "nn.conv nn.lazy",
    "nn.modules.distance": "nn.distance",
    "nn.modules.dropout": "nn.dropout",
    "nn.modules.flatten": "nn.linear:Flatten,Unflatten",
    "nn.modules.fold": "nn.vision:Fold,Unfold",
    "nn.modules.instancenorm": "nn.batchnorm nn.lazy",
    "nn.modules.lazy": "nn.lazy",
    "nn.modules.linear": "nn.linear nn.lazy nn.attention",
    "nn.modules.linear_cross_entropy_options": "nn.loss",
    "nn.modules.loss": "nn.loss",
    "nn.modules.module": "nn.module nn.hooks nn.state nn.state:_EXTRA_STATE_KEY_SUFFIX=EXTRA_STATE utils.hooks:RemovableHandle",
    "nn.modules.normalization": "nn.normalization",
    "nn.modules.padding": "nn.padding",
    "nn.modules.pixelshuffle": "nn.vision:PixelShuffle,PixelUnshuffle",
    "nn.modules.pooling": "nn.pooling",
    "nn.modules.rnn": "nn.recurrent",
    "nn.modules.sparse": "nn.sparse",
    "nn.modules.transformer": "nn.attention",
    "nn.modules.upsampling": "nn.vision",
    "nn.modules.utils": "nn.conv:_single,_pair,_triple,_quadruple,_ntuple nn.state:consume_prefix_in_state_dict_if_present",
    "nn.attention.flex_attention": "nn.attention_choice:_DEFAULT_SPARSE_BLOCK_SIZE",
    "nn.parallel.data_parallel": "nn.parallel:DataParallel,data_parallel",
    "nn.parallel.distributed": "nn.parallel:DistributedDataParallel",
    "nn.parallel.parallel_apply": "nn.parallel:parallel_apply",
    "nn.parallel.replicate": "nn.parallel:replicate",
    "nn.parallel.scatter_gather": "nn.parallel:scatter,gather,scatter_kwargs",
    "amp.autocast_mode": "amp",
    "amp.grad_scaler": "amp",
    "autograd.anomaly_mode": "autograd.anomaly:detect_anomaly,set_detect_anomaly",
    "autograd.grad_mode": "autograd.modes",
    "autograd.profiler": "profiler:profile=autograd_profile,record_function,EventList,FunctionEvent,FunctionEventAvg,emit_nvtx,emit_itt",
    "profiler.profiler": "profiler:profile,schedule,ProfilerAction,ProfilerActivity,tensorboard_trace_handler,_default_schedule_fn",
    "fx.proxy": "fx.tracing", "fx._symbolic_trace": "fx.tracing",
    **{f"distributions.{path}": f"distributions:{name},Distribution,constraints distributions.utils"
       for path, name in (pair.split("=") for pair in _DISTRIBUTIONS.split())},
    "distributions.kl": "distributions.divergence distributions.divergence:_KL_REGISTRY",
    "distributions.lowrank_multivariate_normal": "distributions.multivariate:LowRankMultivariateNormal,_batch_capacitance_tril,"
                                                 "_batch_lowrank_logdet,_batch_lowrank_mahalanobis",
    "distributions.multivariate_normal": "distributions.multivariate:MultivariateNormal,Distribution,_batch_mv,_batch_mahalanobis,_precision_to_scale_tril",
    "distributions.relaxed_bernoulli": "distributions.transformed:RelaxedBernoulli,LogitRelaxedBernoulli",
    "distributions.relaxed_categorical": "distributions.transformed:RelaxedOneHotCategorical,ExpRelaxedCategorical",
    "functional": ".:atleast_1d,atleast_2d,atleast_3d,block_diag,broadcast_shapes,broadcast_tensors,cartesian_prod,cdist,chain_matmul,"
                  "einsum,istft,meshgrid,norm,split,stft,tensordot,unique,unique_consecutive,unravel_index",
    "mps": "cuda:is_available,device_count,get_rng_state,manual_seed,seed,set_rng_state,synchronize,empty_cache,Event,"
           "set_per_process_memory_fraction,current_allocated_memory,driver_allocated_memory,recommended_max_memory",
    "optim._functional": " ".join(f"optim.{name}:{name}" for name in "adadelta adagrad adam adamax adamw asgd nadam radam rmsprop rprop sgd".split()),
    "optim._adafactor": "optim.adafactor", "optim._muon": "optim.muon",
    "onnx.symbolic_helper": "onnx:parse_args,quantized_args",
    "mtia": "cuda", "xpu": "cuda",
    "_dynamo": "switches:OptimizedModule,allow_in_graph,assume_constant_result,config,disable,disallow_in_graph,graph_break,is_compiling,"
               "mark_dynamic,maybe_mark_dynamic,mark_static,mark_static_address,reset,list_backends",
    "_dynamo._trace_wrapped_higher_order_op": "switches:TransformGetItemToIndex",
    "_dynamo.utils": "switches:is_compile_supported",
    "_dynamo.eval_frame": "switches:OptimizedModule,is_dynamo_supported",
    "_jit_internal": "jit:ignore,export,unused,is_scripting,_copy_to_script_wrapper,_overload,_overload_method,boolean_dispatch",
    "_C._nn": "nn.module:_parse_to", "_C._distributed_c10d": "distributed:ProcessGroup,Work,ReduceOp,Store,FileStore,TCPStore",
    "_higher_order_ops": "higher_order",
    **{f"_higher_order_ops.{name}": f"higher_order:{name}" for name in ("associative_scan", "cond", "map", "scan", "while_loop")},
    "_custom_ops": "library:impl,register_fake,custom_op",
    "_tensor": ".:Tensor tensors.pickling:_rebuild_from_type_v2=rebuild_from_type",
    "_utils": "tensors.pickling:_rebuild_tensor_v2=rebuild_tensor nn.parameter:_rebuild_parameter=rebuild_parameter "
              "utils.elements:_element_size,_get_device_index,_get_available_device_type,_get_device_module",
    "distributed.constants": "distributed:default_pg_timeout",
    "distributed.distributed_c10d": "distributed distributed:default_pg_timeout,_pg_map",
    "jit.annotations": "jit:List,Dict,Tuple,Optional,Union,Any,Future,BroadcastingList1,BroadcastingList2,BroadcastingList3",
    "jit._script": "jit:ScriptModule,script",
    "storage": "tensors.storages:TypedStorage,UntypedStorage",
    "utils.data._utils": "utils.data.collate utils.data.worker",
    "utils.data._utils.collate": "utils.data.collate",
    "utils.data._utils.worker": "utils.data.worker",
    "types": "_types:Number,Device,FileLike,Storage,TensorOrTensors,_device,_dtype=DType,_int,_float,_bool,_complex,_size,_dispatchkey,_layout,_qscheme,"
             "IntLikeType,FloatLikeType,BoolLikeType,PySymType,py_sym_types,Tensor",
    "utils.model_zoo": "hub:load_url=load_state_dict_from_url,tqdm,_download_url_to_file=download_url_to_file,urlparse",
}


_ONE_PROCESS = "Rushlight runs one process on one device, so there is nothing to spread a model or its data over"
_NO_EXPORT = "Rushlight exports no graphs to other formats; save the state_dict (torch.save, safetensors) instead"
_NO_QUANTIZATION = "Rushlight has no quantized tensors"
_QUANTIZATION = (_NO_QUANTIZATION, """DeQuantStub FakeQuantize FakeQuantizeBase MinMaxObserver ObserverBase QConfig QuantStub QuantWrapper convert
    prepare prepare_qat quantize quantize_dynamic get_default_qconfig""")
_NO_INDUCTOR = "Rushlight has a compiler of its own, which every program goes through, and none of PyTorch's inner parts"
_NO_NESTED = "Rushlight has no nested tensors; pad the sequences (nn.utils.rnn.pad_sequence) and mask what was added"
_FSDP = """BackwardPrefetch CPUOffload FullOptimStateDictConfig FullStateDictConfig FullyShardedDataParallel LocalOptimStateDictConfig
    LocalStateDictConfig MixedPrecision OptimStateDictConfig OptimStateKeyType ShardedOptimStateDictConfig ShardedStateDictConfig
    ShardingStrategy StateDictConfig StateDictSettings StateDictType CPUOffloadPolicy FSDPModule fully_shard MixedPrecisionPolicy
    OffloadPolicy register_fsdp_forward_method UnshardHandle"""
_TENSOR_PARALLEL = "DTensor distribute_tensor distribute_module Shard Replicate Partial Placement DeviceMesh init_device_mesh"

# A path: why what it holds is not there, and the names.
ABSENT = {
    "ao.quantization": _QUANTIZATION, "quantization": _QUANTIZATION,
    "distributed._composable.fsdp": (_ONE_PROCESS, _FSDP),
    "distributed._tensor": (_ONE_PROCESS, _TENSOR_PARALLEL),
    "distributed._tensor.experimental": (_ONE_PROCESS, "implicit_replication"),
    "distributed.algorithms._checkpoint.checkpoint_wrapper": (_ONE_PROCESS, "CheckpointImpl CheckpointWrapper "
        "apply_activation_checkpointing checkpoint_wrapper offload_wrapper"),
    "distributed.algorithms.ddp_comm_hooks.default_hooks": (_ONE_PROCESS, "allreduce_hook bf16_compress_hook bf16_compress_wrapper "
        "fp16_compress_hook fp16_compress_wrapper"),
    "distributed.algorithms.ddp_comm_hooks.post_localSGD_hook": (_ONE_PROCESS, "PostLocalSGDState post_localSGD_hook"),
    "distributed.algorithms.ddp_comm_hooks.powerSGD_hook": (_ONE_PROCESS, "PowerSGDState batched_powerSGD_hook powerSGD_hook"),
    "distributed.algorithms.join": (_ONE_PROCESS, "Join Joinable JoinHook"),
    "distributed.algorithms.model_averaging.averagers": (_ONE_PROCESS, "ModelAverager PeriodicModelAverager"),
    "distributed.checkpoint": (_ONE_PROCESS, """FileSystemReader FileSystemWriter DefaultLoadPlanner DefaultSavePlanner LoadPlan SavePlan Metadata
        StorageReader StorageWriter async_save load load_state_dict save save_state_dict"""),
    "distributed.checkpoint.state_dict": (_ONE_PROCESS, "StateDictOptions get_model_state_dict get_optimizer_state_dict get_state_dict "
        "set_model_state_dict set_optimizer_state_dict set_state_dict"),
    "distributed.checkpoint.stateful": (_ONE_PROCESS, "Stateful"),
    "distributed.device_mesh": (_ONE_PROCESS, "DeviceMesh init_device_mesh"),
    "distributed.elastic.multiprocessing.errors": (_ONE_PROCESS, "ChildFailedError ErrorHandler ProcessFailure record"),
    "distributed.fsdp": (_ONE_PROCESS, _FSDP),
    "distributed.fsdp.api": (_ONE_PROCESS, _FSDP),
    "distributed.fsdp.fully_sharded_data_parallel": (_ONE_PROCESS, _FSDP + " FlatParameter"),
    "distributed.fsdp.sharded_grad_scaler": (_ONE_PROCESS, "ShardedGradScaler"),
    "distributed.fsdp.wrap": (_ONE_PROCESS, "ModuleWrapPolicy always_wrap_policy enable_wrap size_based_auto_wrap_policy "
        "transformer_auto_wrap_policy wrap"),
    "distributed._functional_collectives": (_ONE_PROCESS, "all_gather_tensor all_reduce all_to_all_single_autograd wait_tensor"),
    "distributed.launcher.api": (_ONE_PROCESS, "LaunchConfig elastic_launch"),
    "distributed.nn": (_ONE_PROCESS, "all_gather all_reduce all_to_all broadcast gather reduce reduce_scatter scatter RemoteModule"),
    "distributed.nn.functional": (_ONE_PROCESS, "all_gather all_reduce all_to_all broadcast gather reduce reduce_scatter scatter"),
    "distributed.run": (_ONE_PROCESS, "get_args_parser main run"),
    "distributed.utils": (_ONE_PROCESS, "_sync_module_states"),
    "distributed.optim": (_ONE_PROCESS, "DistributedOptimizer PostLocalSGDOptimizer ZeroRedundancyOptimizer"),
    "distributed.pipelining": (_ONE_PROCESS, "Pipe PipelineStage ScheduleGPipe SplitPoint pipe_split pipeline"),
    "distributed.rpc": (_ONE_PROCESS, "RRef get_worker_info init_rpc remote rpc_async rpc_sync shutdown"),
    "distributed.tensor": (_ONE_PROCESS, _TENSOR_PARALLEL),
    "distributed.tensor.parallel": (_ONE_PROCESS, "ColwiseParallel ParallelStyle PrepareModuleInput PrepareModuleOutput RowwiseParallel "
        "SequenceParallel loss_parallel parallelize_module"),
    "distributed.tensor.placement_types": (_ONE_PROCESS, "Partial Placement Replicate Shard"),
    "export": (_NO_EXPORT, "Dim ExportedProgram ShapesCollection draft_export export load register_dataclass save unflatten"),
    "nn.attention.flex_attention": ("Rushlight's attention takes masks and biases as tensors: scaled_dot_product_attention(attn_mask=...)",
        "BlockMask AuxOutput AuxRequest flex_attention create_block_mask create_mask and_masks or_masks noop_mask"),
    "nested": (_NO_NESTED, "as_nested_tensor narrow nested_tensor nested_tensor_from_jagged to_padded_tensor"),
    "onnx.errors": (_NO_EXPORT, "OnnxExporterError UnsupportedOperatorError"),
    **{f"onnx.symbolic_opset{version}": (_NO_EXPORT, "") for version in range(7, 21)},
    "utils.cpp_extension": ("Rushlight is Python all the way down and takes no extensions in C++; write the operator as an autograd.Function",
        "BuildExtension CUDAExtension CppExtension CUDA_HOME ROCM_HOME include_paths load load_inline"),
    "utils.flop_counter": ("Rushlight counts operations in torch.explain(x)", "FlopCounterMode"),
    "utils.mobile_optimizer": (_NO_EXPORT, "optimize_for_mobile"),
    "utils.tensorboard": ("Rushlight writes no event files of TensorBoard; `rushlight train` writes a report of its own", "SummaryWriter"),
    "_inductor": (_NO_INDUCTOR, "config list_mode_options list_options"),
    "_subclasses.fake_tensor": (_NO_INDUCTOR, "FakeTensor FakeTensorMode"),
    "_subclasses.functional_tensor": (_NO_INDUCTOR, "FunctionalTensor"),
}


class Absent(type):
    """The class of what is only a name."""

    error = RuntimeError

    def __call__(cls, *args, **kwargs):
        raise cls.error(f"{cls.__module__.replace(__package__, 'torch', 1)}.{cls.__name__}: {cls.reason}")

    def __getattr__(cls, name):
        raise AttributeError(f"{cls.__module__.replace(__package__, 'torch', 1)}.{cls.__name__}.{name}: {cls.reason}")


def _known(path):
    """Whether the table has a path, or paths below it."""
    return path in GATHERED or path in ABSENT or any(p.startswith(path + ".") for table in (GATHERED, ABSENT) for p in table)


def open_below(name):
    """The `__getattr__` of a module of ours below which the table has paths; they can be imported from now on."""
    module = sys.modules[name]
    if not hasattr(module, "__path__"):
        module.__path__ = []

    def __getattr__(attribute):
        path = f"{name}.{attribute}"
        if _known(path.partition(".")[2]):
            return importlib.import_module(path)
        raise AttributeError(f"module '{name}' has no attribute '{attribute}'")
    return __getattr__


class _Finder:
    """Makes the module of a path in the table."""

    def find_spec(self, name, path=None, target=None):
        package, _, path = name.partition(".")
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if package == __package__ and _known(path) else None

    def create_module(self, spec):
        """None: a module as Python makes them."""

    def exec_module(self, module):
        path = module.__name__.partition(".")[2]
        module.__doc__ = f"What PyTorch keeps in torch.{path}."
        for item in GATHERED.get(path, "").split():
            file, _, names = item.partition(":")
            source = importlib.import_module(f"{__package__}.{file}".rstrip("."))
            own = (name for name, value in vars(source).items() if getattr(value, "__module__", None) == source.__name__)
            for name in names.split(",") if names else own:
                name, _, ours = name.partition("=")
                vars(module)[name] = getattr(source, ours or name)
        reason, names = ABSENT.get(path, ("", ""))
        for name in names.split():
            vars(module)[name] = Absent(name, (), {"__module__": module.__name__, "__doc__": reason, "reason": reason})
        module.__getattr__ = open_below(module.__name__)


sys.meta_path.append(_Finder())
