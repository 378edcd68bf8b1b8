# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bash completion for mmunotify(1)

_mmunotify_filter()
{
	local term=${1##*,} before=${1%"${1##*,}"} values
	case $term in
	op=* | op!=*)
		values='munmap mmap-fixed mremap brk shmat shmdt mprotect remap_file_pages
			madvise-dontneed madvise-free madvise-remove madvise-dontneed-locked
			madvise-guard-install madvise-pageout madvise-collapse
			madvise-unmergeable madvise-poison truncate fallocate fork' ;;
	class=* | class!=*)
		values='unmap clear protect protect-page soft-dirty release migrate exclusive' ;;
	range=* | range!=*)
		values='unknown nothing anonymous heap stack thread-stack file memfd sysv
			shared-anonymous special all' ;;
	outcome=* | outcome!=*)
		values='ok unchanged error' ;;
	*)
		compopt -o nospace
		mapfile -t COMPREPLY < <(compgen -P "$before" -W 'op= class= range= name= size>=
			addr= pid= tid= outcome=' -- "$term")
		return ;;
	esac
	local head=${term%%=*}= tail=${term#*=}
	local done=${tail%"${tail##*|}"}
	mapfile -t COMPREPLY < <(compgen -P "$before$head$done" -W "$values" -- "${tail##*|}")
}

_mmunotify()
{
	local cur prev words cword command output
	# "=" and ":" are parts of words here.
	_get_comp_words_by_ref -n =: cur prev words cword || return
	output='--output --text --json --summary --filter --time --stacks --quiet --help -o -k -q'

	if [ "$cword" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W 'trace run stat replay probe demo soft help --help --version' -- "$cur")
		return
	fi
	command=${words[1]}
	local i
	for ((i = 2; i < cword; i++)); do
		if [ "${words[i]}" = -- ] && [[ $command = @(trace|run|probe) ]]; then
			_command_offset $((i + 1))
			return
		fi
	done
	case $prev in
	-o | --output)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	--time)
		mapfile -t COMPREPLY < <(compgen -W 'relative absolute none' -- "$cur")
		return ;;
	--filter)
		_mmunotify_filter "$cur"
		return ;;
	-s | --sites)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	--with)
		mapfile -t COMPREPLY < <(compgen -W 'ucx libfabric ucx,libfabric' -- "$cur")
		return ;;
	-p | --pid)
		mapfile -t COMPREPLY < <(cd /proc && compgen -W "$(printf '%s ' [0-9]*)" -- "$cur")
		return ;;
	--buffer)
		mapfile -t COMPREPLY < <(compgen -W '1M 4M 16M 64M' -- "$cur")
		return ;;
	esac
	case $command in
	trace)
		case $cur in
		-*) mapfile -t COMPREPLY < <(compgen -W "$output --no-follow --strict --buffer" -- "$cur") ;;
		*) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
		esac ;;
	run)
		case $cur in
		-*) mapfile -t COMPREPLY < <(compgen -W '--strict --with= --help' -- "$cur") ;;
		*) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
		esac ;;
	stat)
		mapfile -t COMPREPLY < <(compgen -W '--pid= --interval= --count= --json --help -p -i -c' -- "$cur") ;;
	replay)
		case $cur in
		-*) mapfile -t COMPREPLY < <(compgen -W "$output" -- "$cur") ;;
		*)
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
		esac ;;
	probe)
		case $cur in
		-*) mapfile -t COMPREPLY < <(compgen -W '--verbose --sites= --json --help -v -s' -- "$cur") ;;
		*) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
		esac ;;
	demo)
		mapfile -t COMPREPLY < <(compgen -W '--backend= --json --help' -- "$cur") ;;
	soft)
		case $cur in
		-*) mapfile -t COMPREPLY < <(compgen -W '--execute= --check --maps-after-each --json
			--quiet --timeout= --commands --help -e -n -m -q' -- "$cur") ;;
		*)
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -X '!*.mmun' -- "$cur"
				compgen -d -- "$cur") ;;
		esac ;;
	help)
		mapfile -t COMPREPLY < <(compgen -W 'trace run stat replay probe demo soft' -- "$cur") ;;
	esac
}

complete -F _mmunotify mmunotify
