package audit

import (
	"errors"
	"strconv"
	"syscall"
	"time"
)

// settle returns when record seq is as durable as asked for.
func (t *Trail) settle(seq uint64, d Durability) error {
	if d != Written {
		return t.sync(seq)
	}
	if err := t.write(seq); err != nil {
		return err
	}
	t.mu.Lock()
	t.wake()
	t.mu.Unlock()
	return nil
}

// write returns when record seq is in the kernel's hands, together with everything that was pending.
func (t *Trail) write(seq uint64) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	if seq <= t.written.seq {
		return nil
	}
	return t.flush()
}

// flush gives everything pending to the kernel with one write. The caller holds writing.
func (t *Trail) flush() error {
	if t.broken != nil {
		return t.broken
	}
	t.mu.Lock()
	batch, last := t.enc.buf, link{t.enc.seq, t.enc.chain}
	t.enc.buf = t.spare[:0]
	t.mu.Unlock()
	t.spare = batch
	if len(batch) == 0 {
		return nil
	}
	if _, err := t.file.WriteAt(batch, t.offset); err != nil {
		t.putBack(batch)
		t.breakDown(err, !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT))
		return err
	}
	t.offset += int64(len(batch))
	t.written = last
	if cap(batch) > maxPending {
		t.spare = nil // grown by a rare crowd; not kept for ever
	}
	return nil
}

// putBack makes a batch that was not written pending again, before what came since.
func (t *Trail) putBack(batch []byte) {
	t.spare = nil
	t.mu.Lock()
	t.enc.buf = append(batch, t.enc.buf...)
	t.mu.Unlock()
}

// breakDown stops everything until repair. The caller holds writing.
func (t *Trail) breakDown(err error, replace bool) {
	t.broken = err
	t.replace = t.replace || replace
	now := t.now()
	t.mu.Lock()
	if !t.failing {
		t.failing = true
		t.failed.since, t.failed.cause = now, err
	}
	t.mu.Unlock()
}

// sync returns when record seq is on disk. Everyone who comes while one fsync runs shares the next.
func (t *Trail) sync(seq uint64) error {
	for {
		known, over, err := t.crowd.join(seq)
		if known {
			return err
		}
		if over != nil {
			<-over
			continue
		}
		if err := t.lead(); err != nil {
			return err
		} // what became of this record is asked anew: the trail may have failed and been mended before we led
	}
}

// lead calls the fsync for everyone who waits.
func (t *Trail) lead() error {
	defer t.crowd.leave()
	t.syncing.Lock()
	defer t.syncing.Unlock()
	return t.commit()
}

// commit brings everything to disk. The caller holds syncing.
func (t *Trail) commit() error {
	t.writing.Lock()
	err := t.flush()
	file, path, last, size := t.file, t.path(t.segment), t.written, t.offset
	t.writing.Unlock()
	if err != nil || last.seq == t.crowd.covered() {
		return err
	}
	if err = file.Sync(); err == nil {
		err = inPlace(file, path)
	}
	if err != nil {
		t.doubt(err)
		return err
	}
	t.cover(last)
	if size >= t.size {
		t.roll()
	}
	return nil
}

// cover tells that records up to last are on disk. The caller holds syncing.
func (t *Trail) cover(last link) {
	t.crowd.cover(last.seq)
	t.synced = last
	if t.head != "" { // settler lets it follow
		t.mu.Lock()
		t.wake()
		t.mu.Unlock()
	}
}

// doubt gives a segment up. After a failed fsync the kernel may have dropped the pages and calls them clean, so that the next fsync
// succeeds without having written them (PostgreSQL's "fsyncgate" of 2018): what was written since the last good one never counts as
// durable, and a new segment goes on. The caller holds syncing.
func (t *Trail) doubt(err error) {
	t.writing.Lock()
	defer t.writing.Unlock()
	t.crowd.doubt(t.written.seq, err)
	t.breakDown(err, true)
}

// roll lets a new segment follow one that is full. That it can't is no failure yet: the old one still takes records. The caller holds
// syncing.
func (t *Trail) roll() {
	t.writing.Lock()
	defer t.writing.Unlock()
	if t.flush() != nil {
		return
	}
	if err := t.file.Sync(); err != nil {
		t.crowd.doubt(t.written.seq, err)
		t.breakDown(err, true)
		return
	}
	t.cover(t.written)
	_ = t.startSegment(t.segment + 1) // tried again with the next commit
}

// repair lets the trail go on after a failure, when it can: the half-written end is cut off, or a new segment taken, and everything
// pending is written. A note then says what happened.
func (t *Trail) repair() error {
	t.syncing.Lock()
	defer t.syncing.Unlock()
	t.writing.Lock()
	defer t.writing.Unlock()
	if t.broken == nil || errors.Is(t.broken, errClosed) {
		return t.broken
	}
	if err := t.mend(); err != nil {
		return err
	}
	t.broken = nil
	if err := t.flush(); err != nil {
		return err
	}
	t.resumed()
	return nil
}

// mend brings the file to a state in which it can be written. A half-written end that can't be cut off stops it: another segment would
// repeat its records. The caller holds syncing and writing.
func (t *Trail) mend() error {
	if !errors.Is(t.broken, errGone) { // then it is not ours any more, and may be evidence
		if err := t.file.Truncate(t.offset); err != nil {
			return err
		}
	}
	if !t.replace {
		return nil
	}
	// Nobody comes back to this file: what it holds of records that were not synced yet is synced now, or never counts as durable.
	if err := t.file.Sync(); err != nil {
		t.crowd.doubt(t.written.seq, err)
	}
	if err := t.startSegment(t.segment + 1); err != nil {
		return err
	}
	t.replace = false
	return nil
}

// resumed notes a failure that is over. The caller holds syncing.
func (t *Trail) resumed() {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.enc.note(now, "trail.resumed", []Attr{
		{"since", t.failed.since.UTC().Format(time.RFC3339)},
		{"cause", reason(t.failed.cause)},
		{"calls_refused", strconv.FormatInt(t.failed.refused, 10)},
		{"results_lost", strconv.FormatInt(t.failed.lost, 10)},
		{"last_synced", strconv.FormatUint(t.crowd.covered(), 10)},
	})
	t.failing, t.failed = false, failure{}
	t.wake()
}

// wake tells settler that there is something. The caller holds mu.
func (t *Trail) wake() {
	if t.kicked {
		return
	}
	t.kicked = true
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// settler brings to disk what nobody waits for. It sleeps without a timer while there is nothing, and tries once a second while the
// trail can't be written.
func (t *Trail) settler() {
	var late <-chan time.Time // when the head has to follow; nil while it need not
	for {
		select {
		case <-t.kick:
		case <-late:
			late = nil
			_ = t.saveHead() // tried again after the next records
			continue
		case <-t.quit:
			return
		}
		for delay := settle; ; delay = time.Second {
			select {
			case <-time.After(delay):
			case <-t.quit:
				return
			}
			if t.tidy() == nil {
				break
			}
		}
		if late == nil && t.head != "" {
			late = time.After(headEvery)
		}
	}
}

func (t *Trail) tidy() error {
	t.mu.Lock()
	t.kicked = false
	failing := t.failing
	t.mu.Unlock()
	if failing {
		if err := t.repair(); err != nil {
			return err
		}
	}
	t.syncing.Lock()
	defer t.syncing.Unlock()
	return t.commit()
}
