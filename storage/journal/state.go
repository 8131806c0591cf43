package journal

import "errors"

// State is what a checkpoint keeps of the journal.
type State struct {
	// LSN is that of the checkpoint: all blocks up to it are in the checkpoint.
	LSN LSN
	// Generation is that of block LSN, below which replay does not go; 0 if unknown.
	Generation uint64
	// Files are the numbers of all journal files.
	Files []uint64

	// What Replay learned for Start, which reads the files again if it is given a
	// State that was put together by the owner.
	ends   map[uint64]LSN // the highest lsn found in each file
	kept   LSN            // from here on blocks are kept
	newest uint64         // the highest generation found
}

// surveyed adds what Replay would have learned.
func (s State) surveyed(cfg *Config) (State, error) {
	v, err := newSurvey(cfg, s)
	if err = errors.Join(err, v.close()); err != nil {
		return State{}, err
	}
	s.ends, s.kept, s.newest = v.ends, s.LSN, v.newest()
	s.Generation = max(s.Generation, v.generation)
	return s, nil
}
