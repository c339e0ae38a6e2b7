"use strict";
// The network in a worker, so that the page never waits for it, and the jobs that it is given,
// one at a time. Where a browser starts no worker, the page draws by itself.

class Artist {
  /** Take the network as `network.pack` wrote it, and a function of the jobs done and in all. */
  constructor(description, bytes, onProgress) {
    Object.assign(this, { onProgress, jobs: [], busy: false, done: 0 });
    const inPage = () => {
      const draw = makeNetwork(description, bytes);
      this.send = (samples) => setTimeout(() => this.receive(samples.map(draw)));
      if (this.busy) this.send(this.current.samples);
    };
    try {
      const program = `${$("engine.js").textContent}
        let draw;
        onmessage = ({ data }) => {
          if (data.description) draw = makeNetwork(data.description, data.bytes);
          else postMessage(data.map(draw));
        };`;
      const worker = new Worker(URL.createObjectURL(new Blob([program], { type: "text/javascript" })));
      worker.onmessage = ({ data }) => this.receive(data);
      worker.onerror = (event) => { event.preventDefault(); worker.terminate(); inPage(); };
      worker.postMessage({ description, bytes });
      this.send = (samples) => worker.postMessage(samples);
    } catch {
      inPage();
    }
  }

  /** Draw samples, each {latents, vectors}, later; whenDone is given the list of results. */
  draw(group, samples, whenDone, first = false) {
    this.jobs[first ? "unshift" : "push"]({ group, samples, whenDone });
    this.next();
  }

  /** Drop the jobs of a group. */
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

  receive(results) {
    this.busy = false;
    this.done = this.jobs.length ? this.done + 1 : 0;
    this.current.whenDone(results);
    this.onProgress(this.done, this.done + this.jobs.length);
    this.next();
  }
}
