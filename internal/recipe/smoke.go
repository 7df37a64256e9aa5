package recipe

import "github.com/masu-lab/masu"

// smokeExit is how the smoke test ends, so that Explain can tell why.
const (
	smokeImport = 81 + iota // the library cannot be loaded
	smokeNoGPU              // it sees no GPU
	smokeKernel             // it sees one but cannot compute on it
)

const torchSmoke = `import sys
try:
    import torch
except Exception as e:
    print(e); sys.exit(81)
if not torch.cuda.is_available():
    print("torch", torch.__version__, "CUDA", torch.version.cuda); sys.exit(82)
try:
    for i in range(torch.cuda.device_count()):
        x = torch.ones(64, 64, device=f"cuda:{i}")
        assert float((x @ x).sum()) == 64.0 ** 3
        print(torch.cuda.get_device_name(i), "torch", torch.__version__, "CUDA", torch.version.cuda)
except Exception as e:
    print(e); sys.exit(83)
`

const tfSmoke = `import os, sys
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
try:
    import tensorflow as tf
except Exception as e:
    print(e); sys.exit(81)
gpus = tf.config.list_physical_devices("GPU")
if not gpus:
    print("tensorflow", tf.__version__); sys.exit(82)
try:
    for i, g in enumerate(gpus):
        with tf.device(f"/GPU:{i}"):
            x = tf.ones((64, 64))
            assert float(tf.reduce_sum(x @ x)) == 64.0 ** 3
        print(g.name, "tensorflow", tf.__version__)
except Exception as e:
    print(e); sys.exit(83)
`

// smoke gives the argv of the test that proves that the environment computes
// on the host's GPUs; nil when it is not made for one.
func (p *picked) smoke() []string {
	switch {
	case !hasNVIDIA(p.host):
		return nil
	case p.torch != nil && p.torch.tag != "cpu":
		return []string{"python3", "-c", torchSmoke}
	case p.tf != nil && p.tf.cuda != "":
		return []string{"python3", "-c", tfSmoke}
	}
	return nil
}

// Explain says why a smoke test failed. Exit is its exit code and said the
// last line that it printed; nil means that it passed.
func Explain(exit int, said string) *masu.Error {
	switch exit {
	case 0:
		return nil
	case smokeImport:
		return masu.E(masu.Invalid, "smoke_import", said)
	case smokeNoGPU:
		return masu.E(masu.Invalid, "smoke_no_gpu", said)
	case smokeKernel:
		return masu.E(masu.Invalid, "smoke_kernel", said)
	}
	return masu.E(masu.Invalid, "smoke_failed", exit, said)
}
