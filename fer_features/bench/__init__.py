"""What this machine does: images a second, what reading and writing cost, what a precision costs.

Contenders are measured in turn, each in a process of its own: TensorFlow, JAX, OpenVINO and PyTorch
bring thread pools that would fight over the cores. `worker` is the parent's side of the talk
with such a process, `protocol` the child's; `speed`, `whole` and `precision` are the questions.
"""
