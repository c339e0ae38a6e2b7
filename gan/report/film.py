"""The films on a page: the pictures of each run, and one slider that moves through all."""

from gan.report.pictures import MOST_FRAMES, choose
from gan.report.words import escape

LEAST_FRAMES = 8  # of a run among many


def film_of(run, embedded_uris, chosen):
    """Return what the script shows of a run's pictures: a dict for JSON.

    Args:
        run: `RunContent`.
        embedded_uris: the data URIs of the chosen pictures and, last, of the real samples.
        chosen: list of (epoch, step, path).
    """
    *uris, real = embedded_uris
    frames = [{"label": f"step {step:,}" if step else f"epoch {epoch:,}",
               "at": position(run, epoch, step), "src": uri}
              for (epoch, step, _), uri in zip(chosen, uris, strict=True) if uri]
    return {"name": run.name, "frames": frames, "real": real}


def films_of(runs, embedded):
    """Return the films of all runs: list of dict for JSON.

    Args:
        runs: list of `RunContent`.
        embedded: `Embedded`.
    """
    most = max(LEAST_FRAMES, MOST_FRAMES // len(runs))
    chosen = [choose(run.pictures, most) for run in runs]
    paths = [[path for _, _, path in pictures] + [run.real]
             for run, pictures in zip(runs, chosen, strict=True)]
    uris = iter(embedded.uris([path for each in paths for path in each]))
    return [film_of(run, [next(uris) for _ in each], pictures)
            for run, each, pictures in zip(runs, paths, chosen, strict=True)]


def position(run, epoch, step):
    """Return when a picture was drawn, in epochs."""
    if not step:
        return epoch
    if run.steps_per_epoch:
        return step / run.steps_per_epoch
    return epoch + 1 - 1 / (1 + step)  # the first epoch is not done yet: in order, no more


def film_section(films):
    """Return the slider and a place for each run's picture."""
    shown = []
    for index, film in enumerate(films):
        several = f'<i class="c{index}"></i>{escape(film["name"])}: ' if len(films) > 1 else ""
        shown.append(f'<figure><img class="frame" alt="generated samples">'
                     f"<figcaption>{several}<span></span></figcaption></figure>")
    real = ('<figure><img id="real" alt="real samples"><figcaption>real samples</figcaption>'
            "</figure>")
    if len(films) > 1 or not films[0]["real"]:
        real = ""
    return f"""<section id="film"><h2>From noise to samples</h2>
<div class="controls"><button id="play" type="button">Play</button>
<input id="slider" type="range" min="0" max="0" value="0" aria-label="picture">
<output id="frame"></output></div>
<div class="pictures">{"".join(shown)}{real}</div></section>"""
