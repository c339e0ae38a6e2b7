"""How the chief leads the other processes through the steps of a run."""


def lead(replicas, stop, steps):
    """Let all processes take so many steps, and heed who of them wishes to stop.

    Args:
        replicas: the processes that train together, see `gan.distributed.replica`.
        stop: the chief's `StopRequest`.
        steps: number of steps of the next call.
    """
    for message in replicas.exchange({"steps": steps, "wish": stop.wish}):
        stop.heed(message["wish"])


def follow_orders(trainer, stop):
    """Take the steps that the chief tells, until it ends the run with a `DismissedError`.

    Args:
        trainer: `Trainer`, in the chief's state.
        stop: this process' `StopRequest`, of which the chief is told.
    """
    state, feed, batches = trainer.state, trainer.feed, None
    while True:
        steps = trainer.replica.exchange({"wish": stop.wish})[0]["steps"]
        done, first = divmod(int(state.step), feed.steps_per_epoch)
        if batches is None or first == 0:
            batches = feed.epoch_batches(done + 1)
        trainer.train(batches[first : first + steps])
