package journal

import "errors"

// errNoRoom: the disk is too full for another file.
var errNoRoom = errors.New("no room for another file")

// grow makes a file, or waits for the one that is being made, and names it in the tail of
// the one in use. It is then the next start's, and the file kept for that until now is
// free. It reports false if there may be no more files.
func (j *Journal) grow() (bool, error) {
	number, ok := j.pool.next()
	if !ok {
		return false, nil
	}
	var err error
	if j.making {
		j.making, err = false, <-j.made
	} else {
		err = j.make(number)
	}
	if grown, err := j.grown(number, err); !grown || err != nil {
		return false, err
	}
	if err := j.w.writePage(Record{Kind: KindFile, Number: number}); err != nil {
		return false, err
	}
	j.release(number, j.w.last)
	return true, nil
}

// make makes a file and its name durable.
func (j *Journal) make(number uint64) error {
	err := j.cfg.makeFile(number)
	if diskFull(err) {
		err = errNoRoom
		if derr := j.cfg.discard(number); derr != nil {
			err = derr
		}
	}
	if err != nil {
		return err
	}
	return j.cfg.syncDir()
}

// grown takes in a file that was made, unless the disk had no room for it.
func (j *Journal) grown(number uint64, err error) (bool, error) {
	switch err {
	case nil:
		j.pool.add(number)
		return true, nil
	case errNoRoom:
		j.pool.stunt()
		return false, nil
	}
	return false, err
}

// release makes a file usable that a synced block names.
func (j *Journal) release(number uint64, lsn LSN) {
	j.named[number] = lsn
	j.pool.release(number)
}

// prepare begins to make a file when files get scarce, beside the flushing, which then
// need not wait while it is filled with zeros.
func (j *Journal) prepare() {
	number, ok := j.pool.scarce()
	if !ok || j.making {
		return
	}
	j.making = true
	go func() { j.made <- j.make(number) }()
}

// prepared queues the naming of the file that was made.
func (j *Journal) prepared(err error) {
	number, _ := j.pool.next()
	grown, err := j.grown(number, err)
	if err != nil {
		_ = j.poison(err)
	}
	if !grown {
		return
	}
	j.Submit([]Record{{Kind: KindFile, Number: number}}, func(lsn LSN, err error) {
		if err == nil {
			j.release(number, lsn)
			j.signal()
		}
	})
}
