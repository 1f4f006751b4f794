	.file	"<string>"
	.section	.rodata.cst4,"aM",@progbits,4
	.p2align	2, 0x0
.LCPI0_0:
	.long	0xbf800000
.LCPI0_1:
	.long	1065353216
.LCPI0_2:
	.long	8388607
.LCPI0_3:
	.long	0xc858bd4d
.LCPI0_4:
	.long	0x497cd423
.LCPI0_5:
	.long	0xca0f1fa0
.LCPI0_6:
	.long	0x4a6aa279
.LCPI0_7:
	.long	0xcab7e153
.LCPI0_8:
	.long	0x4b38a595
.LCPI0_9:
	.long	0x4858bd4d
	.section	.ltext,"axl",@progbits
	.globl	_ZN13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx
	.p2align	4
	.type	_ZN13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx,@function
_ZN13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx:
	.cfi_startproc
	pushq	%rbp
	.cfi_def_cfa_offset 16
	pushq	%r15
	.cfi_def_cfa_offset 24
	pushq	%r14
	.cfi_def_cfa_offset 32
	pushq	%r13
	.cfi_def_cfa_offset 40
	pushq	%r12
	.cfi_def_cfa_offset 48
	pushq	%rbx
	.cfi_def_cfa_offset 56
	subq	$280, %rsp
	.cfi_def_cfa_offset 336
	.cfi_offset %rbx, -56
	.cfi_offset %r12, -48
	.cfi_offset %r13, -40
	.cfi_offset %r14, -32
	.cfi_offset %r15, -24
	.cfi_offset %rbp, -16
	movq	592(%rsp), %r13
	movq	480(%rsp), %r12
	movq	392(%rsp), %r15
	movabsq	$NRT_incref, %rbx
	movq	%rdi, %r14
	movq	%rdx, %rdi
	vmovaps	%xmm0, 256(%rsp)
	movq	%rdx, %rbp
	movq	%rsi, 8(%rsp)
	callq	*%rbx
	movq	%r15, %rdi
	callq	*%rbx
	movq	%r12, %rdi
	callq	*%rbx
	movq	536(%rsp), %rdi
	callq	*%rbx
	testq	%r13, %r13
	js	.LBB0_1
	movabsq	$2305843009213693888, %r15
	leaq	63(%r15), %rax
	cmpq	%rax, %r13
	ja	.LBB0_4
	leaq	(,%r13,4), %r12
	movabsq	$NRT_MemInfo_alloc_aligned, %rax
	movl	$32, %esi
	movq	%r12, %rdi
	callq	*%rax
	movq	%rax, 40(%rsp)
	testq	%rax, %rax
	je	.LBB0_6
	vmovaps	256(%rsp), %xmm24
	movq	632(%rsp), %rdx
	movq	624(%rsp), %r9
	movq	%rbp, 88(%rsp)
	movq	%r14, 96(%rsp)
	subq	%r9, %rdx
	testq	%rdx, %rdx
	jle	.LBB0_7
	cmpq	$0, 584(%rsp)
	setle	%al
	testq	%r13, %r13
	sete	%cl
	orb	%al, %cl
	je	.LBB0_11
.LBB0_7:
	movq	392(%rsp), %rdi
	movabsq	$NRT_decref, %rbx
	vzeroupper
	callq	*%rbx
	movq	88(%rsp), %rdi
	callq	*%rbx
	movq	480(%rsp), %rdi
	callq	*%rbx
	movq	536(%rsp), %rdi
	callq	*%rbx
	movq	40(%rsp), %rdi
	callq	*%rbx
	movq	96(%rsp), %rax
	movq	$0, (%rax)
	xorl	%eax, %eax
.LBB0_8:
	addq	$280, %rsp
	.cfi_def_cfa_offset 56
	popq	%rbx
	.cfi_def_cfa_offset 48
	popq	%r12
	.cfi_def_cfa_offset 40
	popq	%r13
	.cfi_def_cfa_offset 32
	popq	%r14
	.cfi_def_cfa_offset 24
	popq	%r15
	.cfi_def_cfa_offset 16
	popq	%rbp
	.cfi_def_cfa_offset 8
	retq
.LBB0_11:
	.cfi_def_cfa_offset 336
	movq	40(%rsp), %rax
	movq	568(%rsp), %rcx
	movq	448(%rsp), %rbx
	movq	440(%rsp), %rsi
	movabsq	$.LCPI0_5, %rdi
	movabsq	$.LCPI0_1, %r11
	movabsq	$.LCPI0_7, %r8
	movabsq	$.LCPI0_8, %r14
	movabsq	$9223372036854775744, %rbp
	vbroadcastss	%xmm24, %zmm0
	movq	%r12, 48(%rsp)
	vmovss	(%rdi), %xmm5
	vbroadcastss	(%rdi), %xmm15
	movabsq	$.LCPI0_6, %rdi
	vmovss	(%r11), %xmm2
	vpbroadcastd	(%r11), %xmm11
	movabsq	$.LCPI0_2, %r11
	vmovss	(%r8), %xmm7
	vmovss	(%r14), %xmm8
	andq	%r12, %rbp
	vbroadcastss	(%rdi), %xmm16
	vpbroadcastd	(%r11), %xmm12
	movq	24(%rax), %r10
	movq	352(%rsp), %rax
	imulq	%rsi, %rbx
	shlq	$2, %rsi
	imulq	360(%rsp), %rax
	movq	%rsi, 176(%rsp)
	movabsq	$.LCPI0_9, %rsi
	vmovss	(%rsi), %xmm1
	movabsq	$.LCPI0_6, %rsi
	vmovss	(%rsi), %xmm6
	movabsq	$.LCPI0_3, %rsi
	movq	%rbx, 168(%rsp)
	leaq	(,%rbx,4), %rbx
	vbroadcastss	(%rsi), %xmm13
	vmovss	(%rsi), %xmm9
	movq	%rbx, 112(%rsp)
	movq	%rax, 160(%rsp)
	movq	%rcx, %rax
	subq	%r10, %rax
	movabsq	$9223372036854775552, %rcx
	movq	%rax, 152(%rsp)
	movq	%r13, %rax
	imulq	584(%rsp), %rax
	andq	%r12, %rcx
	movq	%rcx, 24(%rsp)
	movabsq	$.LCPI0_4, %rcx
	vbroadcastss	(%rcx), %xmm14
	vmovss	(%rcx), %xmm4
	leaq	(%r10,%r13,4), %rcx
	movq	%rcx, 128(%rsp)
	movq	568(%rsp), %rcx
	shlq	$2, %rax
	movq	%rax, 144(%rsp)
	movq	%r13, %rax
	andq	%r15, %rax
	movq	%rax, 16(%rsp)
	leaq	56(%r15), %rax
	andq	%r13, %rax
	movq	%rax, 32(%rsp)
	leaq	64(%r15), %rax
	movq	%rax, 136(%rsp)
	leaq	48(%r15), %rax
	addq	$60, %r15
	andq	%r13, %rax
	andq	%r13, %r15
	movq	%rax, 80(%rsp)
	movl	%r13d, %eax
	andl	$7, %eax
	movq	%rax, 56(%rsp)
	movabsq	$.LCPI0_0, %rax
	vmovss	(%rax), %xmm3
	vbroadcastss	(%rax), %xmm10
	movq	424(%rsp), %rax
	leaq	(%rax,%r13,4), %rax
	movq	%rax, 120(%rsp)
	movq	448(%rsp), %rax
	leaq	(,%rax,4), %rax
	movq	%rax, 248(%rsp)
	leaq	192(%rcx), %rax
	movq	%rax, 104(%rsp)
	jmp	.LBB0_12
	.p2align	4
.LBB0_57:
	movq	184(%rsp), %r9
	movq	192(%rsp), %rdx
	incq	%r9
	decq	%rdx
	jle	.LBB0_7
.LBB0_12:
	movq	448(%rsp), %rbx
	movq	%r9, %r12
	movq	%rdx, 192(%rsp)
	movq	168(%rsp), %rdx
	movq	%r9, %rcx
	movq	%rcx, 184(%rsp)
	testq	%rbx, 136(%rsp)
	setne	8(%rsp)
	sarq	$63, %r12
	movq	%r12, %rax
	andq	432(%rsp), %rax
	addq	%r9, %rax
	movq	424(%rsp), %r9
	imulq	%rax, %rdx
	leaq	(%r9,%rdx,4), %rdx
	movq	336(%rsp), %r9
	movq	%rdx, 72(%rsp)
	movq	%r12, %rdx
	andq	344(%rsp), %rdx
	andq	576(%rsp), %r12
	addq	%rcx, %rdx
	imulq	160(%rsp), %rdx
	addq	%rcx, %r12
	imulq	144(%rsp), %r12
	movq	152(%rsp), %rcx
	leaq	(%r9,%rdx,4), %rdx
	addq	%r12, %rcx
	movq	24(%rsp), %r9
	movq	%rcx, 200(%rsp)
	movq	72(%rsp), %rcx
	movq	%rdx, 208(%rsp)
	movq	176(%rsp), %rdx
	imulq	%rax, %rdx
	addq	$252, %rdx
	imulq	%rbx, %rdx
	addq	120(%rsp), %rdx
	movq	%r12, %rbx
	movq	48(%rsp), %r12
	cmpq	%rdx, %r10
	setb	%dl
	cmpq	128(%rsp), %rcx
	setb	%cl
	imulq	112(%rsp), %rax
	andb	%dl, %cl
	orb	8(%rsp), %cl
	xorl	%edx, %edx
	addq	424(%rsp), %rax
	movb	%cl, 7(%rsp)
	movq	104(%rsp), %rcx
	movq	%rax, 216(%rsp)
	leaq	(%rcx,%rbx), %rax
	addq	568(%rsp), %rbx
	movq	32(%rsp), %rcx
	jmp	.LBB0_13
	.p2align	4
.LBB0_56:
	movq	64(%rsp), %rax
	movq	232(%rsp), %rdx
	addq	%r12, %rbx
	addq	%r12, %rax
	cmpq	%rdx, 584(%rsp)
	je	.LBB0_57
.LBB0_13:
	movq	%rax, 64(%rsp)
	movq	%rdx, %rax
	movq	%rbx, 240(%rsp)
	cmpq	$8, %r13
	jae	.LBB0_16
	xorl	%edx, %edx
	jmp	.LBB0_15
	.p2align	4
.LBB0_16:
	cmpq	$64, %r13
	jae	.LBB0_18
	xorl	%ebx, %ebx
	jmp	.LBB0_22
	.p2align	4
.LBB0_18:
	xorl	%edx, %edx
	.p2align	4
.LBB0_19:
	vmovups	%zmm0, (%r10,%rdx)
	vmovups	%zmm0, 64(%r10,%rdx)
	vmovups	%zmm0, 128(%r10,%rdx)
	vmovups	%zmm0, 192(%r10,%rdx)
	addq	$256, %rdx
	cmpq	%rdx, %r9
	jne	.LBB0_19
	cmpq	16(%rsp), %r13
	je	.LBB0_24
	movq	16(%rsp), %rdx
	movq	%rdx, %rbx
	testb	$56, %r13b
	je	.LBB0_15
	.p2align	4
.LBB0_22:
	vmovups	%ymm0, (%r10,%rbx,4)
	addq	$8, %rbx
	cmpq	%rbx, %rcx
	jne	.LBB0_22
	movq	%rcx, %rdx
	cmpq	%rcx, %r13
	je	.LBB0_24
	.p2align	4
.LBB0_15:
	vmovss	%xmm24, (%r10,%rdx,4)
	incq	%rdx
	cmpq	%rdx, %r13
	jne	.LBB0_15
.LBB0_24:
	imulq	%rax, %r12
	addq	200(%rsp), %r12
	leaq	1(%rax), %rcx
	imulq	360(%rsp), %rax
	xorl	%r9d, %r9d
	movq	%rcx, 232(%rsp)
	movq	208(%rsp), %rcx
	movq	%r12, 224(%rsp)
	movq	216(%rsp), %r12
	leaq	(%rcx,%rax,4), %rax
	movq	%rax, 8(%rsp)
	jmp	.LBB0_25
	.p2align	4
.LBB0_39:
	addq	248(%rsp), %r12
	incq	%r9
	cmpq	$64, %r9
	je	.LBB0_40
.LBB0_25:
	movq	8(%rsp), %rax
	movq	512(%rsp), %rcx
	cmpq	$4, %r13
	setb	%dl
	orb	7(%rsp), %dl
	vmovss	(%rax,%r9,4), %xmm17
	vmovss	(%rcx,%r9,4), %xmm18
	testb	$1, %dl
	je	.LBB0_27
	xorl	%ebx, %ebx
	jmp	.LBB0_36
	.p2align	4
.LBB0_27:
	cmpq	$16, %r13
	jae	.LBB0_29
	xorl	%edx, %edx
	jmp	.LBB0_33
	.p2align	4
.LBB0_29:
	vbroadcastss	%xmm17, %zmm19
	vbroadcastss	%xmm18, %zmm20
	movq	%r11, %r13
	movq	%rsi, %r11
	movq	%rdi, %rsi
	movabsq	$.LCPI0_1, %rax
	movabsq	$.LCPI0_0, %rcx
	movabsq	$.LCPI0_4, %rbx
	movabsq	$.LCPI0_5, %rdi
	xorl	%edx, %edx
	.p2align	4
.LBB0_30:
	vbroadcastss	(%rcx), %zmm21
	vmovups	(%r12,%rdx), %zmm22
	vpbroadcastd	(%rax), %zmm23
	vbroadcastss	(%r11), %zmm25
	vfmsub213ps	%zmm21, %zmm19, %zmm22
	vpternlogd	$248, (%r13){1to16}, %zmm22, %zmm23
	vaddps	%zmm21, %zmm23, %zmm21
	vfmadd213ps	(%rbx){1to16}, %zmm21, %zmm25
	vpsubd	%zmm23, %zmm22, %zmm22
	vcvtdq2ps	%zmm22, %zmm22
	vfmadd213ps	(%rdi){1to16}, %zmm21, %zmm25
	vfmadd213ps	(%rsi){1to16}, %zmm21, %zmm25
	vfmadd213ps	(%r8){1to16}, %zmm21, %zmm25
	vfmadd213ps	(%r14){1to16}, %zmm21, %zmm25
	vfmadd213ps	%zmm22, %zmm21, %zmm25
	vfmadd213ps	(%r10,%rdx), %zmm20, %zmm25
	vmovups	%zmm25, (%r10,%rdx)
	addq	$64, %rdx
	cmpq	%rdx, %rbp
	jne	.LBB0_30
	movq	592(%rsp), %rax
	movq	%rsi, %rdi
	movq	%r11, %rsi
	movq	%r13, %r11
	movq	%rax, %r13
	cmpq	80(%rsp), %rax
	je	.LBB0_39
	movq	80(%rsp), %rbx
	movq	%rbx, %rdx
	testb	$12, %r13b
	je	.LBB0_36
.LBB0_33:
	vbroadcastss	%xmm17, %xmm19
	vbroadcastss	%xmm18, %xmm20
	.p2align	4
.LBB0_34:
	vmovups	(%r12,%rdx,4), %xmm21
	vmovdqa64	%xmm11, %xmm22
	vmovaps	%xmm13, %xmm23
	vfmsub213ps	%xmm10, %xmm19, %xmm21
	vpternlogd	$248, %xmm12, %xmm21, %xmm22
	vpsubd	%xmm22, %xmm21, %xmm21
	vaddps	%xmm10, %xmm22, %xmm22
	vcvtdq2ps	%xmm21, %xmm21
	vfmadd213ps	%xmm14, %xmm22, %xmm23
	vfmadd213ps	%xmm15, %xmm22, %xmm23
	vfmadd213ps	%xmm16, %xmm22, %xmm23
	vfmadd213ps	(%r8){1to4}, %xmm22, %xmm23
	vfmadd213ps	(%r14){1to4}, %xmm22, %xmm23
	vfmadd213ps	%xmm21, %xmm22, %xmm23
	vfmadd213ps	(%r10,%rdx,4), %xmm20, %xmm23
	vmovups	%xmm23, (%r10,%rdx,4)
	addq	$4, %rdx
	cmpq	%rdx, %r15
	jne	.LBB0_34
	movq	%r15, %rbx
	cmpq	%r15, %r13
	je	.LBB0_39
.LBB0_36:
	movq	%rbx, %rdx
	orq	$1, %rdx
	testb	$1, %r13b
	je	.LBB0_38
	movq	%r9, %rax
	imulq	448(%rsp), %rax
	movq	72(%rsp), %rcx
	vmovaps	%xmm9, %xmm21
	leaq	(%rcx,%rax,4), %rax
	vmovss	(%rax,%rbx,4), %xmm19
	vfmadd213ss	%xmm2, %xmm17, %xmm19
	vmovd	%xmm19, %ecx
	movl	%ecx, %eax
	andl	$8388607, %eax
	orl	$1065353216, %eax
	vmovd	%eax, %xmm20
	subl	%eax, %ecx
	vaddss	%xmm3, %xmm20, %xmm20
	vcvtsi2ss	%ecx, %xmm15, %xmm19
	vfmadd213ss	%xmm4, %xmm20, %xmm21
	vfmadd213ss	%xmm5, %xmm20, %xmm21
	vfmadd213ss	%xmm6, %xmm20, %xmm21
	vfmadd213ss	%xmm7, %xmm20, %xmm21
	vfmadd213ss	%xmm8, %xmm20, %xmm21
	vfmadd213ss	%xmm19, %xmm20, %xmm21
	vfmadd213ss	(%r10,%rbx,4), %xmm18, %xmm21
	vmovss	%xmm21, (%r10,%rbx,4)
	movq	%rdx, %rbx
.LBB0_38:
	cmpq	%rdx, %r13
	je	.LBB0_39
	.p2align	4
.LBB0_42:
	vmovss	(%r12,%rbx,4), %xmm19
	vmovaps	%xmm1, %xmm21
	vfmadd213ss	%xmm2, %xmm17, %xmm19
	vmovd	%xmm19, %eax
	movl	%eax, %ecx
	andl	$8388607, %ecx
	orl	$1065353216, %ecx
	vmovd	%ecx, %xmm19
	subl	%ecx, %eax
	vaddss	%xmm3, %xmm19, %xmm19
	vcvtsi2ss	%eax, %xmm15, %xmm20
	vfnmadd213ss	%xmm4, %xmm19, %xmm21
	vfmadd213ss	%xmm5, %xmm19, %xmm21
	vfmadd213ss	%xmm6, %xmm19, %xmm21
	vfmadd213ss	%xmm7, %xmm19, %xmm21
	vfmadd213ss	%xmm8, %xmm19, %xmm21
	vfmadd213ss	%xmm20, %xmm19, %xmm21
	vfmadd213ss	(%r10,%rbx,4), %xmm18, %xmm21
	vmovss	%xmm21, (%r10,%rbx,4)
	vmovaps	%xmm1, %xmm21
	vmovss	4(%r12,%rbx,4), %xmm19
	vfmadd213ss	%xmm2, %xmm17, %xmm19
	vmovd	%xmm19, %eax
	movl	%eax, %ecx
	andl	$8388607, %ecx
	orl	$1065353216, %ecx
	vmovd	%ecx, %xmm19
	subl	%ecx, %eax
	vaddss	%xmm3, %xmm19, %xmm19
	vcvtsi2ss	%eax, %xmm15, %xmm20
	vfnmadd213ss	%xmm4, %xmm19, %xmm21
	vfmadd213ss	%xmm5, %xmm19, %xmm21
	vfmadd213ss	%xmm6, %xmm19, %xmm21
	vfmadd213ss	%xmm7, %xmm19, %xmm21
	vfmadd213ss	%xmm8, %xmm19, %xmm21
	vfmadd213ss	%xmm20, %xmm19, %xmm21
	vfmadd213ss	4(%r10,%rbx,4), %xmm18, %xmm21
	vmovss	%xmm21, 4(%r10,%rbx,4)
	addq	$2, %rbx
	cmpq	%rbx, %r13
	jne	.LBB0_42
	jmp	.LBB0_39
	.p2align	4
.LBB0_40:
	movq	240(%rsp), %rbx
	cmpq	$8, %r13
	jb	.LBB0_41
	cmpq	$256, 224(%rsp)
	movq	32(%rsp), %rcx
	movq	24(%rsp), %r9
	leaq	(,%r13,4), %r12
	movl	$0, %edx
	jb	.LBB0_51
	xorl	%eax, %eax
	cmpq	$64, %r13
	jb	.LBB0_49
	movq	64(%rsp), %rdx
	.p2align	4
.LBB0_46:
	vmovups	(%r10,%rax), %zmm17
	vmovups	64(%r10,%rax), %zmm18
	vmovups	128(%r10,%rax), %zmm19
	vmovups	192(%r10,%rax), %zmm20
	vmovups	%zmm17, -192(%rdx,%rax)
	vmovups	%zmm18, -128(%rdx,%rax)
	vmovups	%zmm19, -64(%rdx,%rax)
	vmovups	%zmm20, (%rdx,%rax)
	addq	$256, %rax
	cmpq	%rax, %r9
	jne	.LBB0_46
	cmpq	16(%rsp), %r13
	je	.LBB0_56
	movq	16(%rsp), %rdx
	movq	%rdx, %rax
	testb	$56, %r13b
	je	.LBB0_51
	.p2align	4
.LBB0_49:
	vmovups	(%r10,%rax,4), %ymm17
	vmovups	%ymm17, (%rbx,%rax,4)
	addq	$8, %rax
	cmpq	%rax, %rcx
	jne	.LBB0_49
	movq	%rcx, %rdx
	cmpq	%rcx, %r13
	je	.LBB0_56
.LBB0_51:
	cmpq	$0, 56(%rsp)
	movq	%rdx, %rax
	movq	%rbx, %r12
	jne	.LBB0_52
	jmp	.LBB0_54
	.p2align	4
.LBB0_41:
	movq	32(%rsp), %rcx
	movq	24(%rsp), %r9
	xorl	%edx, %edx
	cmpq	$0, 56(%rsp)
	movq	%rdx, %rax
	movq	%rbx, %r12
	je	.LBB0_54
.LBB0_52:
	movq	56(%rsp), %rbx
	movq	%rdx, %rax
	.p2align	4
.LBB0_53:
	vmovss	(%r10,%rax,4), %xmm17
	decq	%rbx
	vmovss	%xmm17, (%r12,%rax,4)
	leaq	1(%rax), %rax
	jne	.LBB0_53
.LBB0_54:
	movq	%r12, %rbx
	movq	48(%rsp), %r12
	subq	%r13, %rdx
	cmpq	$-8, %rdx
	ja	.LBB0_56
	.p2align	4
.LBB0_55:
	vmovss	(%r10,%rax,4), %xmm17
	vmovss	%xmm17, (%rbx,%rax,4)
	vmovss	4(%r10,%rax,4), %xmm17
	vmovss	%xmm17, 4(%rbx,%rax,4)
	vmovss	8(%r10,%rax,4), %xmm17
	vmovss	%xmm17, 8(%rbx,%rax,4)
	vmovss	12(%r10,%rax,4), %xmm17
	vmovss	%xmm17, 12(%rbx,%rax,4)
	vmovss	16(%r10,%rax,4), %xmm17
	vmovss	%xmm17, 16(%rbx,%rax,4)
	vmovss	20(%r10,%rax,4), %xmm17
	vmovss	%xmm17, 20(%rbx,%rax,4)
	vmovss	24(%r10,%rax,4), %xmm17
	vmovss	%xmm17, 24(%rbx,%rax,4)
	vmovss	28(%r10,%rax,4), %xmm17
	vmovss	%xmm17, 28(%rbx,%rax,4)
	addq	$8, %rax
	cmpq	%rax, %r13
	jne	.LBB0_55
	jmp	.LBB0_56
.LBB0_1:
	movabsq	$.const.picklebuf.331b8563bdb9dac81b38422273052c486fc1706b, %rax
	jmp	.LBB0_2
.LBB0_4:
	movabsq	$.const.picklebuf.58e14eccb507b1e0206981740223e685cb8c3c57, %rax
	jmp	.LBB0_2
.LBB0_6:
	movabsq	$.const.picklebuf.ba289d81f05c7020f3477c15734804df65abe209, %rax
.LBB0_2:
	movq	8(%rsp), %rcx
	movq	%rax, (%rcx)
	movl	$1, %eax
	jmp	.LBB0_8
.Lfunc_end0:
	.size	_ZN13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx, .Lfunc_end0-_ZN13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx
	.cfi_endproc

	.globl	_ZN7cpython13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx
	.p2align	4
	.type	_ZN7cpython13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx,@function
_ZN7cpython13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx:
	.cfi_startproc
	pushq	%rbp
	.cfi_def_cfa_offset 16
	pushq	%r15
	.cfi_def_cfa_offset 24
	pushq	%r14
	.cfi_def_cfa_offset 32
	pushq	%r13
	.cfi_def_cfa_offset 40
	pushq	%r12
	.cfi_def_cfa_offset 48
	pushq	%rbx
	.cfi_def_cfa_offset 56
	subq	$536, %rsp
	.cfi_def_cfa_offset 592
	.cfi_offset %rbx, -56
	.cfi_offset %r12, -48
	.cfi_offset %r13, -40
	.cfi_offset %r14, -32
	.cfi_offset %r15, -24
	.cfi_offset %rbp, -16
	movq	%rsi, %rdi
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	leaq	144(%rsp), %r10
	xorl	%ebx, %ebx
	leaq	152(%rsp), %r11
	leaq	160(%rsp), %r14
	leaq	168(%rsp), %r15
	leaq	176(%rsp), %r12
	movabsq	$.const.regular, %rsi
	movabsq	$PyArg_UnpackTuple, %r13
	leaq	192(%rsp), %r8
	leaq	184(%rsp), %r9
	movl	$7, %edx
	movl	$7, %ecx
	xorl	%eax, %eax
	pushq	%r10
	.cfi_adjust_cfa_offset 8
	pushq	%r11
	.cfi_adjust_cfa_offset 8
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	callq	*%r13
	addq	$48, %rsp
	.cfi_adjust_cfa_offset -48
	vxorps	%xmm0, %xmm0, %xmm0
	vmovups	%zmm0, 192(%rsp)
	vmovups	%zmm0, 216(%rsp)
	movq	$0, 40(%rsp)
	testl	%eax, %eax
	je	.LBB1_17
	movabsq	$_ZN08NumbaEnv13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx, %rax
	cmpq	$0, (%rax)
	je	.LBB1_21
	movq	184(%rsp), %rdi
	movabsq	$NRT_adapt_ndarray_from_python, %r12
	leaq	448(%rsp), %rsi
	vmovups	%zmm0, 448(%rsp)
	vmovups	%zmm0, 472(%rsp)
	vzeroupper
	callq	*%r12
	cmpq	$4, 472(%rsp)
	setne	%cl
	testl	%eax, %eax
	setne	%bl
	orb	%cl, %bl
	cmpb	$1, %bl
	je	.LBB1_23
	testb	%bl, %bl
	jne	.LBB1_24
.LBB1_4:
	movq	504(%rsp), %rax
	movq	176(%rsp), %rdi
	movq	448(%rsp), %r14
	movq	480(%rsp), %r13
	movq	488(%rsp), %rbp
	movq	496(%rsp), %r15
	leaq	352(%rsp), %rsi
	vxorps	%xmm0, %xmm0, %xmm0
	vmovups	%zmm0, 352(%rsp)
	vmovups	%zmm0, 376(%rsp)
	movq	%rax, 8(%rsp)
	vzeroupper
	callq	*%r12
	cmpq	$4, 376(%rsp)
	setne	%cl
	testl	%eax, %eax
	setne	%bl
	orb	%cl, %bl
	jne	.LBB1_25
	testb	%bl, %bl
	jne	.LBB1_33
.LBB1_6:
	movq	392(%rsp), %rax
	movq	400(%rsp), %rcx
	movq	168(%rsp), %rdi
	movq	%r15, 128(%rsp)
	movq	352(%rsp), %r15
	movq	384(%rsp), %rbx
	leaq	288(%rsp), %rsi
	vxorps	%xmm0, %xmm0, %xmm0
	vmovups	%ymm0, 288(%rsp)
	vmovups	%ymm0, 312(%rsp)
	movq	%rax, 120(%rsp)
	movq	408(%rsp), %rax
	movq	%rcx, 112(%rsp)
	movq	%rax, 104(%rsp)
	vzeroupper
	callq	*%r12
	testl	%eax, %eax
	jne	.LBB1_26
	cmpq	$4, 312(%rsp)
	jne	.LBB1_26
	movq	288(%rsp), %rax
	movq	320(%rsp), %rcx
	movq	160(%rsp), %rdi
	movq	%rbx, 96(%rsp)
	movq	%rax, 32(%rsp)
	movabsq	$PyNumber_Float, %rax
	movq	%rcx, 88(%rsp)
	callq	*%rax
	movq	%rax, %rbx
	movabsq	$PyFloat_AsDouble, %rax
	movq	%rbx, %rdi
	callq	*%rax
	movabsq	$Py_DecRef, %rax
	movq	%rbx, %rdi
	vmovsd	%xmm0, (%rsp)
	callq	*%rax
	movabsq	$PyErr_Occurred, %rax
	callq	*%rax
	testq	%rax, %rax
	jne	.LBB1_31
	movq	152(%rsp), %rdi
	leaq	192(%rsp), %rsi
	vxorps	%xmm0, %xmm0, %xmm0
	vmovups	%zmm0, 192(%rsp)
	vmovups	%zmm0, 216(%rsp)
	vzeroupper
	callq	*%r12
	cmpq	$4, 216(%rsp)
	setne	%cl
	testl	%eax, %eax
	setne	%bl
	orb	%cl, %bl
	cmpb	$1, %bl
	je	.LBB1_27
	testb	%bl, %bl
	jne	.LBB1_31
.LBB1_11:
	movq	224(%rsp), %rax
	movq	232(%rsp), %rdx
	movq	240(%rsp), %rcx
	movq	144(%rsp), %rdi
	movq	%r15, 16(%rsp)
	movq	192(%rsp), %r12
	movq	248(%rsp), %r15
	movq	%rbp, 72(%rsp)
	movabsq	$PyNumber_Long, %rbp
	movq	%r13, 80(%rsp)
	movq	%r14, 24(%rsp)
	movq	%rax, 64(%rsp)
	movq	%rdx, 56(%rsp)
	movq	%rcx, 48(%rsp)
	callq	*%rbp
	movabsq	$PyLong_AsLongLong, %r14
	testq	%rax, %rax
	je	.LBB1_28
	movq	%rax, %rdi
	movq	%rax, %rbx
	callq	*%r14
	movq	%rbx, %rdi
	movabsq	$Py_DecRef, %rbx
	movq	%rax, %r13
	callq	*%rbx
	movabsq	$PyErr_Occurred, %rax
	callq	*%rax
	testq	%rax, %rax
	jne	.LBB1_30
.LBB1_13:
	movq	136(%rsp), %rdi
	callq	*%rbp
	testq	%rax, %rax
	je	.LBB1_29
	movq	%rax, %rdi
	movq	%rax, %rbp
	callq	*%r14
	movabsq	$Py_DecRef, %r14
	movq	%rbp, %rdi
	movq	%rax, %rbx
	callq	*%r14
	movabsq	$PyErr_Occurred, %rax
	callq	*%rax
	testq	%rax, %rax
	jne	.LBB1_30
.LBB1_15:
	vmovsd	(%rsp), %xmm0
	movabsq	$PyEval_SaveThread, %rax
	vcvtsd2ss	%xmm0, %xmm0, %xmm0
	vmovss	%xmm0, (%rsp)
	callq	*%rax
	movq	%rax, %r14
	subq	$304, %rsp
	.cfi_adjust_cfa_offset 304
	movq	360(%rsp), %rdx
	movq	368(%rsp), %rsi
	vmovss	304(%rsp), %xmm0
	movq	352(%rsp), %rax
	movq	%r13, 288(%rsp)
	movq	%r15, 256(%rsp)
	movq	320(%rsp), %r13
	movq	%r12, 200(%rsp)
	movq	%r12, %rbp
	movq	336(%rsp), %r12
	movq	328(%rsp), %r15
	leaq	584(%rsp), %rdi
	movq	%rbx, 296(%rsp)
	movq	%rdx, 240(%rsp)
	movq	392(%rsp), %rdx
	movq	%rsi, 232(%rsp)
	movq	408(%rsp), %rsi
	movq	%rax, 248(%rsp)
	movabsq	$_ZN13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx, %rax
	movq	%r12, 144(%rsp)
	movq	%r13, 56(%rsp)
	movq	%rdx, 176(%rsp)
	movq	416(%rsp), %rdx
	movq	%rsi, 112(%rsp)
	movq	424(%rsp), %rsi
	movq	%rdx, 104(%rsp)
	movq	400(%rsp), %rdx
	movq	%rsi, 96(%rsp)
	movq	312(%rsp), %rsi
	movq	%rdx, 88(%rsp)
	movq	432(%rsp), %rdx
	movq	%rsi, 24(%rsp)
	movq	376(%rsp), %rsi
	movq	%rdx, 16(%rsp)
	movq	384(%rsp), %rdx
	movq	%rsi, 8(%rsp)
	leaq	344(%rsp), %rsi
	movq	%rdx, (%rsp)
	movq	%r15, %rdx
	callq	*%rax
	addq	$304, %rsp
	.cfi_adjust_cfa_offset -304
	movq	40(%rsp), %rcx
	movl	%eax, %ebx
	movabsq	$PyEval_RestoreThread, %rax
	movq	%r14, %rdi
	movq	%rcx, 8(%rsp)
	callq	*%rax
	movabsq	$NRT_decref, %r14
	movq	%r15, %rdi
	callq	*%r14
	movq	%r13, %rdi
	callq	*%r14
	movq	%r12, %rdi
	callq	*%r14
	movq	%rbp, %rdi
	callq	*%r14
	testl	%ebx, %ebx
	jne	.LBB1_18
	movabsq	$_Py_NoneStruct, %rbx
	movabsq	$Py_IncRef, %rax
	movq	%rbx, %rdi
	callq	*%rax
.LBB1_17:
	movq	%rbx, %rax
	addq	$536, %rsp
	.cfi_def_cfa_offset 56
	popq	%rbx
	.cfi_def_cfa_offset 48
	popq	%r12
	.cfi_def_cfa_offset 40
	popq	%r13
	.cfi_def_cfa_offset 32
	popq	%r14
	.cfi_def_cfa_offset 24
	popq	%r15
	.cfi_def_cfa_offset 16
	popq	%rbp
	.cfi_def_cfa_offset 8
	vzeroupper
	retq
.LBB1_18:
	.cfi_def_cfa_offset 592
	movabsq	$PyErr_Clear, %rax
	callq	*%rax
	movq	8(%rsp), %r14
	movl	8(%r14), %esi
	movq	(%r14), %rdi
	cmpl	$0, 32(%r14)
	jle	.LBB1_34
	movslq	%esi, %rsi
	movabsq	$PyBytes_FromStringAndSize, %rax
	callq	*%rax
	movq	16(%r14), %rdi
	movq	%rax, %rbx
	callq	*24(%r14)
	testq	%rax, %rax
	je	.LBB1_39
	movabsq	$numba_runtime_build_excinfo_struct, %rcx
	movq	%rbx, %rdi
	movq	%rax, %rsi
	callq	*%rcx
	movabsq	$NRT_Free, %r15
	movq	%r14, %rdi
	movq	%rax, %rbx
	callq	*%r15
	jmp	.LBB1_35
.LBB1_21:
	movabsq	$PyExc_RuntimeError, %rdi
	movabsq	$".const.missing Environment: _ZN08NumbaEnv13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx", %rsi
.LBB1_22:
	movabsq	$PyErr_SetString, %rax
	vzeroupper
	callq	*%rax
	xorl	%ebx, %ebx
	jmp	.LBB1_17
.LBB1_23:
	movabsq	$PyExc_TypeError, %rdi
	movabsq	$".const.can't unbox array from PyObject into native value.  The object maybe of a different type", %rsi
	movabsq	$PyErr_SetString, %rax
	callq	*%rax
	testb	%bl, %bl
	je	.LBB1_4
	jmp	.LBB1_24
.LBB1_25:
	movabsq	$PyExc_TypeError, %rdi
	movabsq	$".const.can't unbox array from PyObject into native value.  The object maybe of a different type", %rsi
	movabsq	$PyErr_SetString, %rax
	callq	*%rax
	testb	%bl, %bl
	je	.LBB1_6
	jmp	.LBB1_33
.LBB1_26:
	movabsq	$PyExc_TypeError, %rdi
	movabsq	$".const.can't unbox array from PyObject into native value.  The object maybe of a different type", %rsi
	movabsq	$PyErr_SetString, %rax
	callq	*%rax
	jmp	.LBB1_32
.LBB1_27:
	movabsq	$PyExc_TypeError, %rdi
	movabsq	$".const.can't unbox array from PyObject into native value.  The object maybe of a different type", %rsi
	movabsq	$PyErr_SetString, %rax
	callq	*%rax
	testb	%bl, %bl
	je	.LBB1_11
	jmp	.LBB1_31
.LBB1_28:
	xorl	%r13d, %r13d
	movabsq	$PyErr_Occurred, %rax
	callq	*%rax
	testq	%rax, %rax
	je	.LBB1_13
	jmp	.LBB1_30
.LBB1_29:
	xorl	%ebx, %ebx
	movabsq	$PyErr_Occurred, %rax
	callq	*%rax
	testq	%rax, %rax
	je	.LBB1_15
.LBB1_30:
	movabsq	$NRT_decref, %rax
	movq	%r12, %rdi
	callq	*%rax
	movq	24(%rsp), %r14
	movq	16(%rsp), %r15
.LBB1_31:
	movq	32(%rsp), %rdi
	movabsq	$NRT_decref, %rax
	callq	*%rax
.LBB1_32:
	movabsq	$NRT_decref, %rax
	movq	%r15, %rdi
	callq	*%rax
.LBB1_33:
	movabsq	$NRT_decref, %rax
	movq	%r14, %rdi
	jmp	.LBB1_37
.LBB1_34:
	movq	16(%r14), %rdx
	movabsq	$numba_unpickle, %rax
	callq	*%rax
	movq	%rax, %rbx
.LBB1_35:
	testq	%rbx, %rbx
	je	.LBB1_24
	movabsq	$numba_do_raise, %rax
	movq	%rbx, %rdi
.LBB1_37:
	callq	*%rax
.LBB1_24:
	xorl	%ebx, %ebx
	jmp	.LBB1_17
.LBB1_39:
	movabsq	$PyExc_RuntimeError, %rdi
	movabsq	$".const.Error creating Python tuple from runtime exception arguments", %rsi
	jmp	.LBB1_22
.Lfunc_end1:
	.size	_ZN7cpython13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx, .Lfunc_end1-_ZN7cpython13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx
	.cfi_endproc

	.globl	cfunc._ZN13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx
	.p2align	4
	.type	cfunc._ZN13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx,@function
cfunc._ZN13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx:
	.cfi_startproc
	pushq	%r15
	.cfi_def_cfa_offset 16
	pushq	%r14
	.cfi_def_cfa_offset 24
	pushq	%rbx
	.cfi_def_cfa_offset 32
	subq	$336, %rsp
	.cfi_def_cfa_offset 368
	.cfi_offset %rbx, -32
	.cfi_offset %r14, -24
	.cfi_offset %r15, -16
	vmovups	440(%rsp), %ymm2
	vmovups	584(%rsp), %ymm3
	vmovaps	640(%rsp), %xmm4
	vmovaps	368(%rsp), %xmm1
	movq	%rdi, %rdx
	movq	408(%rsp), %rax
	movq	496(%rsp), %rcx
	movq	528(%rsp), %rsi
	movq	552(%rsp), %rdi
	movq	$0, 328(%rsp)
	movq	$0, 320(%rsp)
	vmovups	%xmm4, 288(%rsp)
	vmovups	%ymm3, 232(%rsp)
	movq	%rdi, 200(%rsp)
	movq	%rsi, 176(%rsp)
	movq	%rcx, 144(%rsp)
	vmovups	%ymm2, 88(%rsp)
	movq	%rax, 56(%rsp)
	movabsq	$_ZN13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx, %rax
	leaq	328(%rsp), %rdi
	leaq	320(%rsp), %rsi
	vmovups	%xmm1, 16(%rsp)
	movq	%r9, 8(%rsp)
	movq	%r8, (%rsp)
	vzeroupper
	callq	*%rax
	movl	%eax, %ecx
	movq	320(%rsp), %rbx
	movq	328(%rsp), %rax
	movl	$0, 316(%rsp)
	testl	%ecx, %ecx
	jne	.LBB2_1
.LBB2_5:
	addq	$336, %rsp
	.cfi_def_cfa_offset 32
	popq	%rbx
	.cfi_def_cfa_offset 24
	popq	%r14
	.cfi_def_cfa_offset 16
	popq	%r15
	.cfi_def_cfa_offset 8
	retq
.LBB2_1:
	.cfi_def_cfa_offset 368
	movabsq	$numba_gil_ensure, %r14
	leaq	316(%rsp), %rdi
	movq	%rax, %r15
	callq	*%r14
	movabsq	$PyErr_Clear, %rax
	callq	*%rax
	movl	8(%rbx), %esi
	movq	(%rbx), %rdi
	cmpl	$0, 32(%rbx)
	jle	.LBB2_6
	movslq	%esi, %rsi
	movabsq	$PyBytes_FromStringAndSize, %rax
	callq	*%rax
	movq	16(%rbx), %rdi
	movq	%rax, %r14
	callq	*24(%rbx)
	testq	%rax, %rax
	je	.LBB2_3
	movabsq	$numba_runtime_build_excinfo_struct, %rcx
	movq	%r14, %rdi
	movq	%rax, %rsi
	callq	*%rcx
	movq	%rax, %r14
	movabsq	$NRT_Free, %rax
	movq	%rbx, %rdi
	callq	*%rax
	jmp	.LBB2_7
.LBB2_6:
	movq	16(%rbx), %rdx
	movabsq	$numba_unpickle, %rax
	callq	*%rax
	movq	%rax, %r14
.LBB2_7:
	testq	%r14, %r14
	je	.LBB2_4
	movabsq	$numba_do_raise, %rax
	movq	%r14, %rdi
	callq	*%rax
.LBB2_4:
	movabsq	$".const.<numba.core.cpu.CPUContext>", %rdi
	movabsq	$PyUnicode_FromString, %rax
	callq	*%rax
	movabsq	$PyErr_WriteUnraisable, %r14
	movq	%rax, %rbx
	movq	%rbx, %rdi
	callq	*%r14
	movabsq	$Py_DecRef, %rax
	movq	%rbx, %rdi
	callq	*%rax
	movabsq	$numba_gil_release, %rax
	leaq	316(%rsp), %rdi
	callq	*%rax
	movq	%r15, %rax
	jmp	.LBB2_5
.LBB2_3:
	movabsq	$PyExc_RuntimeError, %rdi
	movabsq	$".const.Error creating Python tuple from runtime exception arguments.1", %rsi
	movabsq	$PyErr_SetString, %rax
	callq	*%rax
	xorl	%eax, %eax
	jmp	.LBB2_5
.Lfunc_end2:
	.size	cfunc._ZN13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx, .Lfunc_end2-cfunc._ZN13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx
	.cfi_endproc

	.weak	NRT_incref
	.p2align	4
	.type	NRT_incref,@function
NRT_incref:
	testq	%rdi, %rdi
	je	.LBB3_2
	lock		incq	(%rdi)
.LBB3_2:
	retq
.Lfunc_end3:
	.size	NRT_incref, .Lfunc_end3-NRT_incref

	.weak	NRT_decref
	.p2align	4
	.type	NRT_decref,@function
NRT_decref:
	.cfi_startproc
	testq	%rdi, %rdi
	je	.LBB4_2
	#MEMBARRIER
	lock		decq	(%rdi)
	je	.LBB4_3
.LBB4_2:
	retq
.LBB4_3:
	movabsq	$NRT_MemInfo_call_dtor, %rax
	#MEMBARRIER
	jmpq	*%rax
.Lfunc_end4:
	.size	NRT_decref, .Lfunc_end4-NRT_decref
	.cfi_endproc

	.type	.const.regular,@object
	.section	.lrodata,"al",@progbits
.const.regular:
	.asciz	"regular"
	.size	.const.regular, 8

	.type	_ZN08NumbaEnv13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx,@object
	.comm	_ZN08NumbaEnv13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx,8,8
	.type	".const.missing Environment: _ZN08NumbaEnv13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx",@object
	.p2align	4, 0x0
".const.missing Environment: _ZN08NumbaEnv13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx":
	.asciz	"missing Environment: _ZN08NumbaEnv13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx"
	.size	".const.missing Environment: _ZN08NumbaEnv13_3cdynamic_3e7regularB2v1B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkCyC6UBKQmARTQA_3dE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi3E1C7mutable7alignedExx", 263

	.type	".const.can't unbox array from PyObject into native value.  The object maybe of a different type",@object
	.p2align	4, 0x0
".const.can't unbox array from PyObject into native value.  The object maybe of a different type":
	.asciz	"can't unbox array from PyObject into native value.  The object maybe of a different type"
	.size	".const.can't unbox array from PyObject into native value.  The object maybe of a different type", 89

	.type	".const.Error creating Python tuple from runtime exception arguments",@object
	.p2align	4, 0x0
".const.Error creating Python tuple from runtime exception arguments":
	.asciz	"Error creating Python tuple from runtime exception arguments"
	.size	".const.Error creating Python tuple from runtime exception arguments", 61

	.type	".const.Error creating Python tuple from runtime exception arguments.1",@object
	.p2align	4, 0x0
".const.Error creating Python tuple from runtime exception arguments.1":
	.asciz	"Error creating Python tuple from runtime exception arguments"
	.size	".const.Error creating Python tuple from runtime exception arguments.1", 61

	.type	".const.<numba.core.cpu.CPUContext>",@object
	.p2align	4, 0x0
".const.<numba.core.cpu.CPUContext>":
	.asciz	"<numba.core.cpu.CPUContext>"
	.size	".const.<numba.core.cpu.CPUContext>", 28

	.type	_ZN08NumbaEnv5numba2np8arrayobj11ol_np_empty12_3clocals_3e4implB2v2B68c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkMSIa6gBwLACszQBEx18class_28float32_29,@object
	.comm	_ZN08NumbaEnv5numba2np8arrayobj11ol_np_empty12_3clocals_3e4implB2v2B68c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZrAkMSIa6gBwLACszQBEx18class_28float32_29,8,8
	.type	.const.pickledata.331b8563bdb9dac81b38422273052c486fc1706b,@object
	.p2align	4, 0x0
.const.pickledata.331b8563bdb9dac81b38422273052c486fc1706b:
	.ascii	"\200\004\225B\000\000\000\000\000\000\000\214\bbuiltins\224\214\nValueError\224\223\224\214\037negative dimensions not allowed\224\205\224N\207\224."
	.size	.const.pickledata.331b8563bdb9dac81b38422273052c486fc1706b, 77

	.type	.const.pickledata.331b8563bdb9dac81b38422273052c486fc1706b.sha1,@object
	.p2align	4, 0x0
.const.pickledata.331b8563bdb9dac81b38422273052c486fc1706b.sha1:
	.ascii	"3\033\205c\275\271\332\310\0338B\"s\005,Ho\301pk"
	.size	.const.pickledata.331b8563bdb9dac81b38422273052c486fc1706b.sha1, 20

	.type	.const.picklebuf.331b8563bdb9dac81b38422273052c486fc1706b,@object
	.p2align	4, 0x0
.const.picklebuf.331b8563bdb9dac81b38422273052c486fc1706b:
	.quad	.const.pickledata.331b8563bdb9dac81b38422273052c486fc1706b
	.long	77
	.zero	4
	.quad	.const.pickledata.331b8563bdb9dac81b38422273052c486fc1706b.sha1
	.quad	0
	.long	0
	.zero	4
	.size	.const.picklebuf.331b8563bdb9dac81b38422273052c486fc1706b, 40

	.type	.const.pickledata.58e14eccb507b1e0206981740223e685cb8c3c57,@object
	.p2align	4, 0x0
.const.pickledata.58e14eccb507b1e0206981740223e685cb8c3c57:
	.ascii	"\200\004\225~\000\000\000\000\000\000\000\214\bbuiltins\224\214\nValueError\224\223\224\214[array is too big; `arr.size * arr.dtype.itemsize` is larger than the maximum possible size.\224\205\224N\207\224."
	.size	.const.pickledata.58e14eccb507b1e0206981740223e685cb8c3c57, 137

	.type	.const.pickledata.58e14eccb507b1e0206981740223e685cb8c3c57.sha1,@object
	.p2align	4, 0x0
.const.pickledata.58e14eccb507b1e0206981740223e685cb8c3c57.sha1:
	.ascii	"X\341N\314\265\007\261\340 i\201t\002#\346\205\313\214<W"
	.size	.const.pickledata.58e14eccb507b1e0206981740223e685cb8c3c57.sha1, 20

	.type	.const.picklebuf.58e14eccb507b1e0206981740223e685cb8c3c57,@object
	.p2align	4, 0x0
.const.picklebuf.58e14eccb507b1e0206981740223e685cb8c3c57:
	.quad	.const.pickledata.58e14eccb507b1e0206981740223e685cb8c3c57
	.long	137
	.zero	4
	.quad	.const.pickledata.58e14eccb507b1e0206981740223e685cb8c3c57.sha1
	.quad	0
	.long	0
	.zero	4
	.size	.const.picklebuf.58e14eccb507b1e0206981740223e685cb8c3c57, 40

	.type	_ZN08NumbaEnv5numba2np8arrayobj15_call_allocatorB2v3B42c8tJTC_2fWQA93W1AaAIYBPIqRBFCjDSZRVAJmaQIAEN29typeref_5b_3cclass_20_27numba4core5types8npytypes14Array_27_3e_5dExj,@object
	.comm	_ZN08NumbaEnv5numba2np8arrayobj15_call_allocatorB2v3B42c8tJTC_2fWQA93W1AaAIYBPIqRBFCjDSZRVAJmaQIAEN29typeref_5b_3cclass_20_27numba4core5types8npytypes14Array_27_3e_5dExj,8,8
	.type	_ZN08NumbaEnv5numba2np8arrayobj18_ol_array_allocate12_3clocals_3e4implB2v4B42c8tJTIeFIjxB2IKSgI4CrvQClcaMQ5hEEUSJJgA_3dEN29typeref_5b_3cclass_20_27numba4core5types8npytypes14Array_27_3e_5dExj,@object
	.comm	_ZN08NumbaEnv5numba2np8arrayobj18_ol_array_allocate12_3clocals_3e4implB2v4B42c8tJTIeFIjxB2IKSgI4CrvQClcaMQ5hEEUSJJgA_3dEN29typeref_5b_3cclass_20_27numba4core5types8npytypes14Array_27_3e_5dExj,8,8
	.type	.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209,@object
	.p2align	4, 0x0
.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209:
	.ascii	"\200\004\225K\000\000\000\000\000\000\000\214\bbuiltins\224\214\013MemoryError\224\223\224\214'Allocation failed (probably too large).\224\205\224N\207\224."
	.size	.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209, 86

	.type	.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209.sha1,@object
	.p2align	4, 0x0
.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209.sha1:
	.ascii	"\272(\235\201\360\\p \363G|\025sH\004\337e\253\342\t"
	.size	.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209.sha1, 20

	.type	.const.picklebuf.ba289d81f05c7020f3477c15734804df65abe209,@object
	.p2align	4, 0x0
.const.picklebuf.ba289d81f05c7020f3477c15734804df65abe209:
	.quad	.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209
	.long	86
	.zero	4
	.quad	.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209.sha1
	.quad	0
	.long	0
	.zero	4
	.size	.const.picklebuf.ba289d81f05c7020f3477c15734804df65abe209, 40

	.type	_ZN08NumbaEnv8__main__2lgB2v5B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2boEBhKYpQkAEf,@object
	.comm	_ZN08NumbaEnv8__main__2lgB2v5B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2boEBhKYpQkAEf,8,8
	.type	_ZN08NumbaEnv5numba7cpython7numbers11scalar_view12_3clocals_3e4implB2v6B74c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2brEjH2YRBHEcE0AEf16class_28int32_29,@object
	.comm	_ZN08NumbaEnv5numba7cpython7numbers11scalar_view12_3clocals_3e4implB2v6B74c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2brEjH2YRBHEcE0AEf16class_28int32_29,8,8
	.type	_ZN08NumbaEnv5numba7cpython7numbers11scalar_view12_3clocals_3e4implB2v7B74c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2brEjH2YRBHEcE0AEi18class_28float32_29,@object
	.comm	_ZN08NumbaEnv5numba7cpython7numbers11scalar_view12_3clocals_3e4implB2v7B74c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2brEjH2YRBHEcE0AEi18class_28float32_29,8,8
	.section	".note.GNU-stack","",@progbits
