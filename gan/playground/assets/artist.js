"use strict";
// Who draws: the network in a worker, so that the page never waits for it, and the jobs it is
// given, one at a time. Where a browser starts no worker, the page draws by itself.

class Artist {
  /**
   * description: see `network.pack`; bytes: its weights as ArrayBuffer;
   * onProgress: function of the jobs done and their number, of those that are not done yet.
   */
  constructor(description, bytes, onProgress) {
    this.onProgress = onProgress;
    this.jobs = [];  // the first is being drawn
    this.busy = false;
    this.done = 0;
    this.milliseconds = 0;  // that a sample took in the latest job
    const inPage = () => {
      const draw = makeNetwork(description, bytes);
      this.send = (samples) => setTimeout(() => this.receive(drawAll(draw, samples)));
      if (this.busy) this.send(this.current.samples);
    };
    try {
      const program = `${document.getElementById("engine.js").textContent}
        ${drawAll}
        let draw;
        onmessage = ({ data }) => {
          if (data.description) draw = makeNetwork(data.description, data.bytes);
          else postMessage(drawAll(draw, data));
        };`;
      const address = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
      const worker = new Worker(address);
      worker.onmessage = ({ data }) => this.receive(data);
      worker.onerror = (event) => { event.preventDefault(); worker.terminate(); inPage(); };
      worker.postMessage({ description, bytes });
      this.send = (samples) => worker.postMessage(samples);
    } catch {
      inPage();
    }
  }

  /**
   * Draw some samples later; jobs of the same group that have not begun are forgotten
   * by `forget`. whenDone is given the list of results.
   */
  draw(group, samples, whenDone, first = false) {
    this.jobs[first ? "unshift" : "push"]({ group, samples, whenDone });
    this.next();
  }

  forget(group) {
    this.jobs = this.jobs.filter((job) => job.group !== group);
    if (this.current?.group === group) this.current.whenDone = () => {};
  }

  next() {
    if (this.busy || !this.jobs.length) return;
    this.busy = true;
    this.current = this.jobs.shift();
    this.send(this.current.samples);
  }

  receive({ results, milliseconds }) {
    this.busy = false;
    this.done = this.jobs.length ? this.done + 1 : 0;
    this.milliseconds = milliseconds;
    this.current.whenDone(results);
    this.onProgress(this.done, this.done + this.jobs.length);
    this.next();
  }
}

/** Draw samples, each {latents, codes}; returns {results, milliseconds of one}. */
function drawAll(draw, samples) {
  const start = performance.now(), results = samples.map((sample) => draw(sample));
  return { results, milliseconds: (performance.now() - start) / samples.length };
}
